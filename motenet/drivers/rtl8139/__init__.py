"""The drivers of the Realtek RTL8139: one for C mode, which all have, and one for C+ mode."""

from typing import Any

from motenet.core.errors import ConfigurationError
from motenet.datasheets.pci import REVISION_ID
from motenet.datasheets.rtl8139.pci import REVISION_CPLUS
from motenet.doors import PciFunction
from motenet.drivers.rtl8139.c_mode import Rtl8139Driver
from motenet.drivers.rtl8139.cplus_mode import Rtl8139CpDriver

__all__ = ["Rtl8139CpDriver", "Rtl8139Driver", "probe"]


def probe(function: PciFunction, *, mode: str = "", **options: Any) -> Rtl8139Driver | Rtl8139CpDriver:
    """The driver for this card, as Linux chooses: by its revision, 20h and up has C+ mode. `mode`: "C" or "C+".

    `options` are those of the driver that is chosen; TypeError for one that it does not have.
    """
    if mode not in ("", "C", "C+"):
        raise ConfigurationError(f"mode={mode!r}: an RTL8139 has modes 'C' and 'C+'")
    if not mode:
        mode = "C+" if function.config.read(REVISION_ID, 1) >= REVISION_CPLUS else "C"
    return Rtl8139CpDriver(function, **options) if mode == "C+" else Rtl8139Driver(function, **options)
