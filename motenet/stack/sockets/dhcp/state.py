"""The states of a DHCP client, and how long it waits in them (RFC 2131, 4.1 and 4.4)."""

from enum import StrEnum

from motenet.core.units import SECOND
from motenet.stack.wire import dhcpv4_options as options

FIRST_DELAY = 4 * SECOND
DOUBLINGS = 4
DELAY_SPREAD = 1 * SECOND
"""RFC 2131, 4.1: retransmissions after 4, 8, 16, 32, 64, 64 ... seconds, each one up to a second more or less."""

ATTEMPTS = 4
"""RFC 2131, 3.1 (5) and 3.2 (4): a REQUEST is sent four times, which takes 60 seconds, before we give up."""

MINIMUM_RENEWAL_DELAY = 60 * SECOND
"""RFC 2131, 4.4.5: between two REQUESTs in RENEWING and REBINDING."""

DECLINE_DELAY = 10 * SECOND
"""RFC 2131, 3.1 (5): "SHOULD wait a minimum of ten seconds before restarting the configuration process"."""

NAK_DELAY = 1 * SECOND
"""No clause; two servers that disagree would otherwise keep us busy without a pause."""

STARTUP_DELAYS = (1 * SECOND, 10 * SECOND)
"""RFC 2131, 4.4.1: within which hosts that start at the same time begin, if they `desynchronize`."""

RELEASE_WAIT = 1 * SECOND
"""No clause; how long a RELEASE may wait for its server's Ethernet address. The address goes without it then: RFC 2131,
4.4.6: "the correct operation of DHCP does not depend on" it.
"""

REQUESTED = bytes(
    option.code
    for option in (
        options.CLASSLESS_ROUTES, options.SUBNET_MASK, options.ROUTER, options.STATIC_ROUTES,
        options.DOMAIN_NAME_SERVER, options.DOMAIN_NAME, options.DOMAIN_SEARCH, options.INTERFACE_MTU,
        options.LEASE_TIME, options.RENEWAL_TIME, options.REBINDING_TIME,
    )
)  # fmt: skip
"""What we ask for. RFC 3442: classless routes MUST come before Router and Static Routes, and with the former."""


class State(StrEnum):
    """RFC 2131, figure 5; INIT-REBOOT is passed through at once. CHECKING: the stack asks whether somebody has the
    address (4.4.1). STOPPED: nobody wants an address; RELEASING: nobody does any more.
    """

    STOPPED = "STOPPED"
    INIT = "INIT"
    SELECTING = "SELECTING"
    REQUESTING = "REQUESTING"
    REBOOTING = "REBOOTING"
    CHECKING = "CHECKING"
    BOUND = "BOUND"
    RENEWING = "RENEWING"
    REBINDING = "REBINDING"
    RELEASING = "RELEASING"


HOLDING = (State.BOUND, State.RENEWING, State.REBINDING)
"""The address is ours and proved."""
EXTENDING = (State.RENEWING, State.REBINDING)
"""We ask from the address that we have."""
ASKING = (State.REQUESTING, State.REBOOTING, *EXTENDING)
"""Here an ACK or NAK is expected."""
