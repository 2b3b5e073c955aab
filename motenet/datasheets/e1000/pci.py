"""The 82540EM's configuration space, as a real card's dump of 2004 shows it (8254x 4.1 where it agrees)."""

from struct import pack_into

VENDOR_ID = 0x8086
DEVICE_ID = 0x100E
SUBSYSTEM_ID = 0x001E  # PRO/1000 MT Desktop

MEMORY_BAR = 0
MEMORY_BAR_SIZE = 128 << 10
IO_BAR = 2
IO_BAR_SIZE = 64  # silicon; 8254x Table 4-2 says 8 bytes, and 13.2.2 says 32
IOADDR = 0x0
IODATA = 0x4

POWER_MANAGEMENT = 0xDC
PCIX = 0xE4
MSI = 0xF0


def config_header() -> bytes:
    """The 256 bytes after power-on; BAR 1 (flash) is absent."""
    header = bytearray(256)
    # command 0; status: capabilities, 66 MHz, medium DEVSEL; revision 2; class 02 00 00, Ethernet
    pack_into("<HHHHI", header, 0x00, VENDOR_ID, DEVICE_ID, 0x0000, 0x0230, 0x02000002)
    pack_into("<I", header, 0x10 + 4 * IO_BAR, 0x00000001)
    pack_into("<HH", header, 0x2C, VENDOR_ID, SUBSYSTEM_ID)
    header[0x34] = POWER_MANAGEMENT
    header[0x3C:0x40] = bytes((0x00, 0x01, 0xFF, 0x00))  # INTA#, Min_Gnt 255
    header[POWER_MANAGEMENT : POWER_MANAGEMENT + 8] = bytes.fromhex("01e422c8 0020001b")
    header[PCIX : PCIX + 8] = bytes.fromhex("07f00200 00004004")
    header[MSI : MSI + 4] = bytes.fromhex("05008000")  # 64-bit, one message, no masking
    return bytes(header)
