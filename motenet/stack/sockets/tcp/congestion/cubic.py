"""CUBIC (RFC 9438), in whole numbers: bytes and nanoseconds."""

from typing import ClassVar

from motenet.core.state import Plain
from motenet.core.units import SECOND
from motenet.stack.sockets.tcp.congestion.hystart import HyStart
from motenet.stack.sockets.tcp.congestion.newreno import UNKNOWN, NewReno

# RFC 9438, 4.1 and 5: C = 0.4 segments per cubic second, beta_cubic = 0.7
_C_ABOVE, _C_BELOW = 4, 10 * SECOND**3
_BETA_ABOVE, _BETA_BELOW = 7, 10
_ALPHA_ABOVE, _ALPHA_BELOW = 9, 17  # 4.3: alpha_cubic = 3 * (1 - beta_cubic) / (1 + beta_cubic)

_NEVER = -1


def cube_root(number: int) -> int:
    """The largest integer whose cube is not above `number`, by Newton's method."""
    if number <= 0:
        return 0
    root = 1 << -(-number.bit_length() // 3)
    while True:
        better = (2 * root + number // (root * root)) // 3
        if better >= root:
            return root
        root = better


class Cubic(NewReno):
    """The window follows a cubic of the time since the last loss, around the window at which that happened."""

    STATE: ClassVar[tuple[str, ...]] = (
        *NewReno.STATE, "plateau", "epoch", "begin", "delay", "estimate", "estimate_credit", "before", "last",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.hystart = HyStart()
        self.plateau = 0
        """W_max, in bytes."""
        self.epoch = _NEVER
        """t_epoch: when the current congestion avoidance began, without the times in which nothing was to be sent."""
        self.begin = 0
        """cwnd_epoch, in bytes."""
        self.delay = 0
        """K: how long after `epoch` the plateau is reached, in ns."""
        self.estimate = 0
        """W_est: what Reno would have, in bytes."""
        self.estimate_credit = 0
        self.before = 0
        """cwnd_prior, in bytes."""
        self.last = 0
        """When something was acknowledged last."""

    def acknowledged(self, now: int, length: int, flight: int, rtt: int) -> None:
        if 2 * flight < self.window:
            if self.epoch != _NEVER:
                self.epoch += now - self.last  # 4.2: the time in which the application was the limit does not count
        elif self.threshold == UNKNOWN:
            self.window += self.hystart.growth(length, flight, rtt)
            if self.hystart.over:
                self.threshold = self.window
        elif self.window < self.threshold:
            self.window = min(self.window + length, self.threshold)  # RFC 9406, 4.3: HyStart++ only the first time
        else:
            self._avoid(now, length, rtt)
        self.last = now

    def _avoid(self, now: int, length: int, rtt: int) -> None:
        if self.epoch == _NEVER:
            self._start_epoch(now)
        elapsed = now - self.epoch
        self._estimate(length)
        if self._cubic(elapsed) < self.estimate:
            self.window = max(self.window, self.estimate)  # 4.3: the Reno-friendly region
            return
        target = min(max(self._cubic(elapsed + rtt), self.window), self.window * 3 // 2)  # 4.2
        self.credit += (target - self.window) * length  # 4.4 and 4.5: (target - cwnd) / cwnd for each segment
        gain, self.credit = divmod(self.credit, self.window)
        self.window += gain

    def _start_epoch(self, now: int) -> None:
        """4.2: congestion avoidance begins, after a loss, after a timeout, or out of slow start without either."""
        self.epoch = now
        self.begin = self.estimate = self.window
        self.estimate_credit = self.credit = 0
        if self.window < self.plateau:
            self.delay = cube_root((self.plateau - self.window) * _C_BELOW // (_C_ABOVE * self.mss))
        else:
            self.delay, self.plateau = 0, self.window

    def _cubic(self, elapsed: int) -> int:
        """W_cubic(t) (figure 1), in bytes."""
        return self.plateau + (elapsed - self.delay) ** 3 * _C_ABOVE * self.mss // _C_BELOW

    def _estimate(self, length: int) -> None:
        """4.3, figure 4: W_est grows by alpha_cubic segments a round trip, or by one, once it has caught up."""
        above, below = (_ALPHA_ABOVE, _ALPHA_BELOW) if self.estimate < self.before else (1, 1)
        self.estimate_credit += above * self.mss * length
        gain = self.estimate_credit // (below * self.window)
        self.estimate_credit -= gain * below * self.window
        self.estimate += gain

    def idle(self, now: int) -> None:
        super().idle(now)
        if self.epoch != _NEVER:
            self.epoch += now - self.last  # 4.2: nor do pauses count
        self.last = now

    def timed_out(self, now: int, flight: int, again: bool) -> None:
        super().timed_out(now, flight, again)
        self.plateau = 0  # 4.8: the next congestion avoidance begins on its plateau
        self.epoch = _NEVER

    def _reduce(self, flight: int) -> int:
        """4.6 and 4.7: multiplicative decrease, and fast convergence where the plateau has sunk since."""
        window = self.window
        if window < self.plateau:
            self.plateau = window * (_BETA_BELOW + _BETA_ABOVE) // (2 * _BETA_BELOW)
        else:
            self.plateau = window
        self.before = window
        rest = flight * _BETA_ABOVE // _BETA_BELOW
        self.threshold = max(rest, 2 * self.mss)
        self.epoch = _NEVER
        self.credit = 0
        return rest

    def _remember(self) -> None:
        self.prior = (
            self.window, self.threshold, self.plateau, self.delay, self.begin, self.estimate, self.epoch, self.before,
        )  # fmt: skip

    def undo(self) -> None:
        """4.9.1: a loss that was none."""
        if self.prior:
            _, _, self.plateau, self.delay, self.begin, self.estimate, self.epoch, self.before = self.prior
        super().undo()

    def save(self) -> Plain:
        return super().save() | {"hystart": self.hystart.save()}

    def load(self, state: Plain) -> None:
        super().load(state)
        self.hystart.load(state["hystart"])
