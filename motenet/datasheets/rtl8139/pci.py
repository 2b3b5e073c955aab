"""The RTL8139's configuration space (RTL8139C 7)."""

from struct import pack_into

VENDOR_ID = 0x10EC
DEVICE_ID = 0x8139

REVISION_C = 0x10
REVISION_CPLUS = 0x20

IO_BAR = 0
MEMORY_BAR = 1
BAR_SIZE = 256

POWER_MANAGEMENT = 0x50


def config_header(revision: int) -> bytes:
    """The 256 bytes after power-on, with the EEPROM read."""
    header = bytearray(256)
    # command 0; status: capabilities, fast back to back, medium DEVSEL; class 02 00 00, Ethernet
    pack_into("<HHHHI", header, 0x00, VENDOR_ID, DEVICE_ID, 0x0000, 0x0290, 0x02000000 | revision)
    pack_into("<I", header, 0x10 + 4 * IO_BAR, 0x00000001)
    pack_into("<HH", header, 0x2C, VENDOR_ID, DEVICE_ID)
    header[0x34] = POWER_MANAGEMENT
    header[0x3C:0x40] = bytes((0x00, 0x01, 0x20, 0x40))  # INTA#, Min_Gnt 8 us, Max_Lat 16 us
    # version 2; D1 and D2; PME# from D1 to D3cold; 375 mA (7.4)
    header[POWER_MANAGEMENT : POWER_MANAGEMENT + 4] = bytes.fromhex("0100c2f7")
    return bytes(header)
