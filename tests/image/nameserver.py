"""nameserver.py: a DNS server on 127.0.0.1:53 that knows one answer: every name is 127.0.0.1, and has no IPv6 address."""

import socket

A = b"\x00\x01"
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
while True:
    query, asker = server.recvfrom(512)
    # The name ends with an empty label; type and class follow it.
    end = query.index(b"\x00", 12) + 5
    question = query[12:end]
    address = question[-4:-2] == A
    # Pointer to the name, type, class, a minute to live, four bytes.
    answer = b"\xc0\x0c" + question[-4:] + b"\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01" if address else b""
    head = query[:2] + b"\x81\x80\x00\x01" + bytes([0, address]) + b"\x00\x00\x00\x00"
    server.sendto(head + question + answer, asker)
