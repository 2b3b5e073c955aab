"""The device's own configuration, as the modern interfaces show it (virtio 2.5, 4.1.4.6, 4.2.2)."""

from motenet.devices.virtio.device import VirtioDevice


class DeviceConfiguration:
    """Implements doors.RegisterSpace. Fields want their own width; other accesses are events, and served."""

    def __init__(self, device: VirtioDevice, clause: str) -> None:
        self._device = device
        self._registers = device.kind.config_registers
        self._clause = clause

    def read(self, offset: int, width: int) -> int:
        self._check(offset, width, "read")
        return self._device.read_config(offset, width)

    def write(self, offset: int, value: int, width: int) -> None:
        self._check(offset, width, "write")
        self._device.write_config(offset, value, width)

    def _check(self, offset: int, width: int, what: str) -> None:
        found = self._registers.at(offset)
        if offset < self._device.kind.config_size and (found is None or found[0].width != 8 * width):
            detail = f"{what} of {8 * width} bits in configuration {offset:#x} ({self._clause})"
            self._device.drop("access width", detail)
