import socket

import pytest

from coldpress_runtime.fallback.addresses import RefusedAddressError, check, resolve

NEVER = [
    "169.254.169.254", "169.254.170.2", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd20:ce::254",
    "168.63.129.16", "100.100.100.200", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
    "::a9fe:a9fe", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "192.0.0.192", "::ffff:100.100.100.200",
    "fd00:ec2::23", "fd00:ec2::23%eth0", "64:ff9b:1::a9fe:a9fe", "::ffff:0:a9fe:a9fe",
    "metadata.google.internal", "METADATA.google.internal.", "metadata",
]  # fmt: skip
PRIVATE = [
    "127.0.0.1", "127.8.8.8", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "fd12:3456::1", "100.64.0.1",
    "fec0::1", "64:ff9b:1::a00:1", "64:ff9b:1:a00:0:100:808:808", "::ffff:0:a00:1",
    "::ffff:10.0.0.1", "64:ff9b::a00:1", "192.0.2.1",
]  # fmt: skip


@pytest.mark.parametrize("host", NEVER)
@pytest.mark.parametrize("allow", [False, True])
def test_metadata_and_link_local_addresses_are_never_allowed(host, allow):
    with pytest.raises(RefusedAddressError):
        check(host, allow_private=allow)


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_allowed_where_the_manifest_says_so(host):
    check(host, allow_private=True)
    with pytest.raises(RefusedAddressError, match="allow_private"):
        check(host, allow_private=False)


@pytest.mark.parametrize("host", ["8.8.8.8", "2606:4700::1111", "example.com", "::ffff:8.8.8.8"])
def test_others_pass(host):
    check(host, allow_private=False)


def test_a_name_is_judged_by_every_address_that_it_has():
    with pytest.raises(RefusedAddressError, match="a loopback address"):
        resolve("localhost", 80, allow_private=False)
    found = resolve("localhost", 80, allow_private=True)
    assert found
    assert all(address[0] in {"127.0.0.1", "::1"} for _, address in found)


@pytest.mark.parametrize("host", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"])
def test_other_spellings_of_an_address_lead_to_the_same_refusal(host):
    try:
        socket.getaddrinfo(host, 80)
    except OSError:
        pytest.skip("this system's resolver does not read that spelling")
    with pytest.raises(RefusedAddressError):
        resolve(host, 80, allow_private=True)
