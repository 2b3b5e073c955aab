"""Statistics registers of the 82540EM (8254x 13.7): cleared by reading, stuck at their maximum.

A 64-bit counter is cleared by reading its upper half.
"""

from motenet.datasheets.registers import Field, Register


def _counter(name: str, offset: int, clause: int, doc: str) -> Register:
    field = Field(name, 0, 32, read="clear", write="ignore")
    return Register(name, offset, f"8254x 13.7.{clause}", (field,), doc=doc)


def _low(name: str, offset: int, clause: int, doc: str) -> Register:
    field = Field(name, 0, 32, write="ignore", doc="cleared together with the upper half")
    return Register(name, offset, f"8254x 13.7.{clause}", (field,), doc=doc + ", bits 31:0")


CRCERRS = _counter("CRCERRS", 0x04000, 1, "frames of at least 64 bytes with a bad FCS")
ALGNERRC = _counter("ALGNERRC", 0x04004, 2, "alignment errors")
SYMERRS = _counter("SYMERRS", 0x04008, 3, "symbol errors")
RXERRC = _counter("RXERRC", 0x0400C, 4, "frames with a receive error from the PHY")
MPC = _counter("MPC", 0x04010, 5, "frames missed for want of packet buffer")
SCC = _counter("SCC", 0x04014, 6, "single collisions")
ECOL = _counter("ECOL", 0x04018, 7, "excessive collisions")
MCC = _counter("MCC", 0x0401C, 8, "multiple collisions")
LATECOL = _counter("LATECOL", 0x04020, 9, "late collisions")
COLC = _counter("COLC", 0x04028, 10, "collisions")
DC = _counter("DC", 0x04030, 11, "transmissions deferred")
TNCRS = _counter("TNCRS", 0x04034, 12, "transmissions without carrier sense")
SEC = _counter("SEC", 0x04038, 13, "sequence errors")
CEXTERR = _counter("CEXTERR", 0x0403C, 14, "carrier extension errors")
RLEC = _counter("RLEC", 0x04040, 15, "receive length errors")
XONRXC = _counter("XONRXC", 0x04048, 16, "XON frames received")
XONTXC = _counter("XONTXC", 0x0404C, 17, "XON frames sent")
XOFFRXC = _counter("XOFFRXC", 0x04050, 18, "XOFF frames received")
XOFFTXC = _counter("XOFFTXC", 0x04054, 19, "XOFF frames sent")
FCRUC = _counter("FCRUC", 0x04058, 20, "unsupported flow control frames received")
PRC64 = _counter("PRC64", 0x0405C, 21, "good frames received of 64 bytes")
PRC127 = _counter("PRC127", 0x04060, 22, "good frames received of 65 to 127 bytes")
PRC255 = _counter("PRC255", 0x04064, 23, "good frames received of 128 to 255 bytes")
PRC511 = _counter("PRC511", 0x04068, 24, "good frames received of 256 to 511 bytes")
PRC1023 = _counter("PRC1023", 0x0406C, 25, "good frames received of 512 to 1023 bytes")
PRC1522 = _counter("PRC1522", 0x04070, 26, "good frames received of 1024 bytes to the maximum")
GPRC = _counter("GPRC", 0x04074, 27, "good frames received")
BPRC = _counter("BPRC", 0x04078, 28, "good broadcast frames received")
MPRC = _counter("MPRC", 0x0407C, 29, "good multicast frames received")
GPTC = _counter("GPTC", 0x04080, 30, "good frames sent")
GORCL = _low("GORCL", 0x04088, 31, "octets of good frames received")
GORCH = _counter("GORCH", 0x0408C, 31, "octets of good frames received, bits 63:32")
GOTCL = _low("GOTCL", 0x04090, 32, "octets of good frames sent")
GOTCH = _counter("GOTCH", 0x04094, 32, "octets of good frames sent, bits 63:32")
RNBC = _counter("RNBC", 0x040A0, 33, "frames that found no receive descriptor")
RUC = _counter("RUC", 0x040A4, 34, "frames below 64 bytes with a good FCS")
RFC = _counter("RFC", 0x040A8, 35, "frames below 64 bytes with a bad FCS")
ROC = _counter("ROC", 0x040AC, 36, "frames above the maximum with a good FCS")
RJC = _counter("RJC", 0x040B0, 37, "frames above the maximum with a bad FCS")
MGTPRC = _counter("MGTPRC", 0x040B4, 38, "management packets received")
MGTPDC = _counter("MGTPDC", 0x040B8, 39, "management packets dropped")
MGTPTC = _counter("MGTPTC", 0x040BC, 40, "management packets sent")
TORL = _low("TORL", 0x040C0, 41, "octets received")
TORH = _counter("TORH", 0x040C4, 41, "octets received, bits 63:32")
TOTL = _low("TOTL", 0x040C8, 42, "octets sent")
TOTH = _counter("TOTH", 0x040CC, 42, "octets sent, bits 63:32")
TPR = _counter("TPR", 0x040D0, 43, "frames received, good or bad, whether they pass the filters or not")
TPT = _counter("TPT", 0x040D4, 44, "frames sent")
PTC64 = _counter("PTC64", 0x040D8, 45, "frames sent of 64 bytes")
PTC127 = _counter("PTC127", 0x040DC, 46, "frames sent of 65 to 127 bytes")
PTC255 = _counter("PTC255", 0x040E0, 47, "frames sent of 128 to 255 bytes")
PTC511 = _counter("PTC511", 0x040E4, 48, "frames sent of 256 to 511 bytes")
PTC1023 = _counter("PTC1023", 0x040E8, 49, "frames sent of 512 to 1023 bytes")
PTC1522 = _counter("PTC1522", 0x040EC, 50, "frames sent of 1024 bytes or more")
MPTC = _counter("MPTC", 0x040F0, 51, "multicast frames sent")
BPTC = _counter("BPTC", 0x040F4, 52, "broadcast frames sent")
TSCTC = _counter("TSCTC", 0x040F8, 53, "TCP segmentation contexts sent")
TSCTFC = _counter("TSCTFC", 0x040FC, 54, "TCP segmentation contexts that failed")

STATISTICS = (
    CRCERRS, ALGNERRC, SYMERRS, RXERRC, MPC, SCC, ECOL, MCC, LATECOL, COLC, DC, TNCRS, SEC, CEXTERR, RLEC,
    XONRXC, XONTXC, XOFFRXC, XOFFTXC, FCRUC, PRC64, PRC127, PRC255, PRC511, PRC1023, PRC1522, GPRC, BPRC, MPRC,
    GPTC, GORCL, GORCH, GOTCL, GOTCH, RNBC, RUC, RFC, ROC, RJC, MGTPRC, MGTPDC, MGTPTC, TORL, TORH, TOTL, TOTH,
    TPR, TPT, PTC64, PTC127, PTC255, PTC511, PTC1023, PTC1522, MPTC, BPTC, TSCTC, TSCTFC,
)  # fmt: skip
