"""QEMU's own C device models behind our first door: a driver of ours drives them over the qtest protocol."""

from motenet.bridge.qtest.host import QtestHost
from motenet.bridge.qtest.machine import QtestMachine
from motenet.bridge.qtest.wire import Wire

__all__ = ["QtestHost", "QtestMachine", "Wire"]
