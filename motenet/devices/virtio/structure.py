"""A register space from its datasheet whose values live elsewhere: in the device, in the queue that is selected."""

from collections.abc import Callable

from motenet.datasheets.registers import Register, RegisterMap

Get = Callable[[], int]
Put = Callable[[int], None]
Drop = Callable[[str, str], None]


class _Place:
    """One register, or 32 bits of a register of 64, which are as good as a register (virtio 4.1.3)."""

    __slots__ = ("end", "get", "label", "put", "readable", "reserved", "start", "width", "writable")

    def __init__(self, register: Register, label: str, start: int, shift: int, width: int) -> None:
        self.start, self.end, self.width = start, start + width, width
        self.label = label
        ones = (1 << 8 * width) - 1
        self.readable = (register.mask() & ~register.mask(read="zero")) >> shift & ones
        self.writable = (register.mask() & ~register.mask(write="ignore")) >> shift & ones
        self.reserved = register.reserved >> shift & ones
        self.get: Get | None = None
        self.put: Put | None = None


class Structure:
    """Implements doors.RegisterSpace for declared registers, each of which asks `get` and tells `put`.

    An access should have exactly its register's width: `clause`. Any other is an event, and answered by byte lanes: a
    read takes what it covers, a write changes that alone. A register that nobody has bound is not there.
    """

    def __init__(self, registers: RegisterMap, drop: Drop, clause: str) -> None:
        self.registers = registers
        self._drop = drop
        self._clause = clause
        self._places: dict[int, _Place] = {}
        self._lanes: dict[int, _Place] = {}
        """By the offset of each byte."""

    def bind(self, register: Register, get: Get | None = None, put: Put | None = None) -> None:
        """Where a register's value comes from, and where it goes: with all bits that the driver wrote."""
        shifts = range(0, register.width, min(register.width, 32))
        for shift in shifts:
            width = min(register.width, 32) // 8
            start = register.offset + shift // 8
            place = _Place(register, self.registers.label(register.offset), start, shift, width)
            place.get = get if get is None or len(shifts) == 1 else _part_of(get, shift)
            place.put = put if put is None or len(shifts) == 1 else _into_part(get, put, shift)
            self._places[start] = place
            for at in range(start, place.end):
                self._lanes[at] = place

    def read(self, offset: int, width: int) -> int:
        place = self._places.get(offset)
        if place is not None and place.width == width:
            return self._get(place)
        return self._read_lanes(offset, width)

    def write(self, offset: int, value: int, width: int) -> None:
        place = self._places.get(offset)
        if place is not None and place.width == width:
            self._put(place, value)
        else:
            self._write_lanes(offset, value, width)

    def _get(self, place: _Place) -> int:
        if not place.readable or place.get is None:
            self._drop("write-only register", f"{place.label} read")
            return 0
        return place.get() & place.readable

    def _put(self, place: _Place, value: int) -> None:
        if not place.writable or place.put is None:
            self._drop("read-only register", f"{place.label} written with {value:#x}")
            return
        if value & place.reserved:
            self._drop("reserved bits", f"{place.label}: {value & place.reserved:#x} of {value:#x}")
        place.put(value)

    def _touched(self, offset: int, width: int, what: str) -> list[_Place]:
        """What an access of the wrong width covers, at least in part."""
        places = [self._lanes[at] for at in range(offset, offset + width) if at in self._lanes]
        found = [place for number, place in enumerate(places) if place not in places[:number]]
        if found:
            names = ", ".join(place.label for place in found)
            self._drop("access width", f"{what} of {8 * width} bits at {offset:#x}: {names} ({self._clause})")
        else:
            self._drop("unknown register", f"{self.registers.name}+{offset:#x} {what}")
        return found

    def _read_lanes(self, offset: int, width: int) -> int:
        value = 0
        for place in self._touched(offset, width, "read"):
            lanes, shift = self._get(place), 8 * (place.start - offset)
            value |= lanes << shift if shift >= 0 else lanes >> -shift
        return value & (1 << 8 * width) - 1

    def _write_lanes(self, offset: int, value: int, width: int) -> None:
        for place in self._touched(offset, width, "write"):
            held = place.get() if place.get is not None and place.put is not None and place.readable else 0
            mask, shift = (1 << 8 * width) - 1, 8 * (place.start - offset)
            mask, lanes = (mask >> shift, value >> shift) if shift >= 0 else (mask << -shift, value << -shift)
            self._put(place, (held & ~mask | lanes & mask) & (1 << 8 * place.width) - 1)


def _part_of(get: Get, shift: int) -> Get:
    return lambda: get() >> shift & 0xFFFFFFFF


def _into_part(get: Get | None, put: Put, shift: int) -> Put:
    assert get is not None, "half of a register is written into the other half"
    mask = 0xFFFFFFFF << shift
    return lambda value: put(get() & ~mask | value << shift)
