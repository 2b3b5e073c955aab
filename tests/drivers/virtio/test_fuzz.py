"""Whatever a device does, the driver raises nothing: it counts, or resets the device."""

from hypothesis import given
from hypothesis import strategies as st

from motenet.core.state import canonical, walk
from motenet.doors import FrameFacts

FEATURES = (
    "MAC", "STATUS", "MTU", "CSUM", "GUEST_CSUM", "HOST_TSO4", "GUEST_TSO4", "MRG_RXBUF", "CTRL_VQ", "CTRL_RX",
    "GUEST_ANNOUNCE", "CTRL_MAC_ADDR", "RING_INDIRECT_DESC", "VERSION_1",
)  # fmt: skip
VARIANTS = [(), ("RING_EVENT_IDX",), ("RING_PACKED",), ("RING_PACKED", "RING_EVENT_IDX")]

small = st.one_of(st.integers(0, 8), st.integers(0, 0xFFFFFFFF))
actions = st.one_of(
    st.tuples(st.just("use"), st.integers(0, 2), small, small),
    st.tuples(st.just("honest"), st.integers(0, 2), st.integers(0, 70_000), st.binary(max_size=80)),
    st.tuples(st.just("scribble"), st.integers(0, 2), st.integers(0, 300), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("send"), st.integers(14, 1500), st.booleans(), st.booleans()),
    st.tuples(st.just("interrupt"), st.integers(0, 3), st.booleans(), st.just(0)),
    st.tuples(st.just("status"), st.sampled_from([0, 15, 0x4F, 0xFF]), st.just(0), st.just(0)),
    st.tuples(st.just("settings"), st.integers(0, 23), st.integers(0, 255), st.just(0)),
    st.tuples(st.just("filter"), st.integers(0, 20), st.booleans(), st.just(0)),
    st.tuples(st.just("time"), st.integers(0, 3_000_000_000), st.just(0), st.just(0)),
)


class Mad:
    """A device that does one thing after the other, and a stack that goes on."""

    def __init__(self, make_fake, variant) -> None:
        self.fake = make_fake(*FEATURES, *variant)
        self.fake.device.strict = False  # it changes its status as it likes
        self.driver = self.fake.start(rx_ring=16, tx_ring=16, rx_buffer=8192)
        self.driver.wake = lambda: None
        self.hands: dict[int, object] = {}
        self.scribbled: dict[int, int] = {}

    def hand(self, queue: int):
        """The hands on a queue, new ones after each reset."""
        key = (queue, self.driver.recoveries)
        if key not in self.hands and self.fake.device.queues[queue].areas[0]:
            self.hands[key] = self.fake.hands(queue)
        return self.hands.get(key)

    def readable(self, queue: int) -> bool:
        """Whether the device can still make sense of the descriptors itself."""
        hands = self.hand(queue)
        packed = hands is not None and not hasattr(hands, "used")
        return hands is not None and not (packed and self.scribbled.get(queue) == self.driver.recoveries)

    def do(self, what: str, a: int, b, c) -> None:
        fake, driver = self.fake, self.driver
        hands = self.hand(a) if what in ("use", "honest", "scribble") else None
        if what == "use" and hands is not None:
            hands.use((b & 0xFFFF, c))
        elif what == "honest" and self.readable(a) and (one := hands.pop()) is not None:
            for address, length, write in one[1]:
                if write:
                    fake.memory.view[address : address + min(length, len(c))] = c[:length]
            hands.use((one[0], b))
        elif what == "scribble":
            area = fake.device.queues[a].areas[2 if hands is not None and hasattr(hands, "used") else 0]
            if area:
                self.scribbled[a] = driver.recoveries
                fake.memory.view[area + b : area + b + len(c)] = c
        elif what == "send" and (view := driver.reserve(a)) is not None:
            view[:] = bytes(a)
            driver.commit(FrameFacts(34, 16) if b and a > 60 else None)
            if c:
                driver.flush()
        elif what == "interrupt" and 7 in fake.interrupts.handlers:
            fake.device.isr = a
            fake.interrupts.handlers[7]()
        elif what == "status":
            fake.device.status = a
        elif what == "settings":
            fake.device.settings[a] = b
        elif what == "filter":
            driver.set_multicast([bytes((0x33, 0x33, 0, 0, 0, number)) for number in range(a)])
            driver.set_promiscuous(b)
        elif what == "time":
            fake.clock.now += a

    def look(self) -> None:
        """What a stack does."""
        self.driver.poll()
        for _ in range(100):
            if self.driver.receive() is None:
                return
        raise AssertionError("frames without end")


@given(st.sampled_from(VARIANTS), st.lists(st.tuples(actions, st.booleans()), max_size=40))
def test_no_device_makes_the_driver_raise(make_fake, variant, plan):
    mad = Mad(make_fake, variant)
    for action, look in plan:
        mad.do(*action)
        if look:
            mad.look()
    mad.look()
    for part in walk(mad.driver):
        b"".join(canonical(part.save()))
        part.load(part.save())
