"""Who may talk to whom, worked out from the NetworkPolicies as a cluster would apply them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from tests.unit.deploy.conftest import Manifest, labels_of, of_kind, pod_of, workloads

NAMESPACE = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Place:
    """A pod, here or in another namespace, or an address outside of the cluster."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = "inkstone"
    ports: dict[str, int] = field(default_factory=dict)
    """Its containers' ports by name; every other port is closed."""
    address: str | None = None
    """Of what is outside of the cluster."""


def places(manifests: list[Manifest]) -> dict[str, Place]:
    """One pod of each workload."""
    return {
        name: Place(name, labels_of(workload), ports=_ports(pod_of(workload)))
        for name, workload in workloads(manifests).items()
    }


def _ports(pod: Manifest) -> dict[str, int]:
    return {p["name"]: p["containerPort"] for c in pod["containers"] for p in c.get("ports", [])}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Tell whether a label selector takes something with these labels."""
    wanted = selector.get("matchLabels", {})
    if not wanted.items() <= labels.items():
        return False
    for rule in selector.get("matchExpressions", []):
        if rule["operator"] != "In":
            raise NotImplementedError(rule["operator"])
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return True


def allows(manifests: list[Manifest], caller: Place, callee: Place, port: int) -> bool:
    """Tell whether the caller's policies let it out and the callee's let it in."""
    out = _passes(manifests, caller, "egress", "to", callee, port, callee.ports)
    return out and lets_in(manifests, caller, callee, port)


def lets_in(manifests: list[Manifest], caller: Place, callee: Place, port: int) -> bool:
    """Tell whether the callee's policies alone let the caller in."""
    return _passes(manifests, callee, "ingress", "from", caller, port, callee.ports)


def _passes(
    manifests: list[Manifest],
    subject: Place,
    direction: str,
    peers: str,
    other: Place,
    port: int,
    named: dict[str, int],
) -> bool:
    if subject.address is not None or subject.namespace != "inkstone":
        return True
    policies = [
        policy["spec"]
        for policy in of_kind(manifests, "NetworkPolicy").values()
        if direction.capitalize() in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], subject.labels)
    ]
    rules = (rule for policy in policies for rule in policy.get(direction, []))
    return not policies or any(
        _takes_port(rule, port, named) and (peers not in rule or _takes(rule[peers], other))
        for rule in rules
    )


def _takes_port(rule: Manifest, port: int, named: dict[str, int]) -> bool:
    return "ports" not in rule or any(
        named.get(p["port"], p["port"]) == port for p in rule["ports"]
    )


def _takes(peers: list[Manifest], other: Place) -> bool:
    return any(_is_peer(peer, other) for peer in peers)


def _is_peer(peer: Manifest, other: Place) -> bool:
    if "ipBlock" in peer:
        # Policies are written for addresses outside; what a pod's own address is nobody knows.
        return other.address is not None and _is_within(peer["ipBlock"], other.address)
    if other.address is not None:
        return False
    namespace = peer.get("namespaceSelector")
    if namespace is None and other.namespace != "inkstone":
        return False
    if namespace is not None and not selects(namespace, {NAMESPACE: other.namespace}):
        return False
    return selects(peer.get("podSelector", {}), other.labels)


def _is_within(block: Manifest, address: str) -> bool:
    one = ip_address(address)
    left_out = (ip_network(cidr) for cidr in block.get("except", []))
    return one in ip_network(block["cidr"]) and not any(one in cidr for cidr in left_out)


def openings(manifests: list[Manifest], callers: list[Place]) -> Iterator[tuple[str, str, int]]:
    """Every way that is open between two of them: caller, callee, port."""
    for callee in places(manifests).values():
        for caller in callers:
            for port in sorted(set(callee.ports.values())):
                if caller.name != callee.name and allows(manifests, caller, callee, port):
                    yield caller.name, callee.name, port
