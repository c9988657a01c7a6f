"""The address of a client behind proxies, as ``X-Forwarded-For`` reports it."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from flask import current_app

from pycoder.metrics import FORWARDED_IGNORED

# Why a header is ignored, as a label of the metric, and what the operator can do.
REASONS = {
    "no_proxies": "TRUSTED_PROXIES is 0; set it if there are proxies in front of this server",
    "public_peer": "it came from a public address; list the addresses of proxies in PROXY_NETWORKS",
    "too_few_entries": "it has fewer entries than TRUSTED_PROXIES; set the number of proxies",
    "no_address": "its entry is no IP address; the proxy must write the address of its client",
}


class Ignored(ValueError):
    """A header that is not believed. The argument is the reason."""


def client_address(peer: str | None, header: str) -> str | None:
    """Return the address of the client: the peer's, or that behind trusted proxies.

    Each proxy appends the address of its own peer to ``X-Forwarded-For``, so only as many entries
    from the right are believed as ``TRUSTED_PROXIES`` says. A header that is not believed is
    counted, and each reason is logged once in a process.
    """
    if not header:
        return peer
    try:
        return forwarded_address(peer, header)
    except Ignored as error:
        reason = str(error)
    FORWARDED_IGNORED.labels(reason).inc()
    logged: set[str] = current_app.extensions.setdefault("pycoder.forwarded_ignored", set())
    if reason not in logged:
        logged.add(reason)
        current_app.logger.warning("X-Forwarded-For is ignored: %s", REASONS[reason])
    return peer


def forwarded_address(peer: str | None, header: str) -> str:
    """Return the believed entry of a header. Raises ``Ignored``."""
    trusted, entries = current_app.config["TRUSTED_PROXIES"], header.split(",")
    if not trusted:
        raise Ignored("no_proxies")
    if peer and not is_proxy(peer):  # a Unix socket has no address
        raise Ignored("public_peer")
    if len(entries) < trusted:
        raise Ignored("too_few_entries")
    try:
        return str(parse_address(entries[-trusted]))
    except ValueError:
        raise Ignored("no_address") from None


def is_proxy(peer: str) -> bool:
    """Return whether a peer can be a proxy: from inside the network, or listed.

    A peer with a public address has probably bypassed the proxies.
    """
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    networks = current_app.config["PROXY_NETWORKS"]
    return not address.is_global or any(address in network for network in networks)


def parse_address(entry: str) -> IPv4Address | IPv6Address:
    """Parse an address, possibly quoted and with a port or an IPv6 zone."""
    entry = entry.strip().strip('"')
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    address = ip_address(entry.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
