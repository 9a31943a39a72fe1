"""The address that a server listens on to whether other machines reach it."""

import ipaddress


def is_loopback(ip: str) -> bool:
    """Tell whether an address, as `ServerApp.ip` has it, is this machine's own and no other's."""
    if ip == "localhost":
        return True
    try:
        return ipaddress.ip_address(ip).is_loopback
    except ValueError:  # a name, which may lead anywhere; "" is every address
        return False
