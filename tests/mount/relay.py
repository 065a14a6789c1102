#!/usr/bin/env python3
"""relay.py PORT MOOD - a way to the server at PORT that can be closed: connections come on the socket that is its standard input.

The file MOOD says how it is: "well"; "offline", all connections end at once; "hang", they are taken, and nothing passes. What it
heeds by now is in the file MOOD.now.
"""
import os
import select
import socket
import sys

port, mood_file = int(sys.argv[1]), sys.argv[2]
listener = socket.socket(fileno=0)
peer = {}  # connection: the one that it is passed on to


def mood():
    try:
        with open(mood_file) as file:
            return file.read().strip() or "well"
    except OSError:
        return "well"


def drop(one):
    other = peer.pop(one, None)
    peer.pop(other, None)
    for end in (one, other):
        if end is not None:
            end.close()


def take(now):
    client = listener.accept()[0]
    if now == "offline":
        client.close()
        return
    server = socket.create_connection(("127.0.0.1", port))
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer[client], peer[server] = server, client


def tell(now):
    with open(mood_file + ".new", "w") as file:
        file.write(now)
    os.rename(mood_file + ".new", mood_file + ".now")


told = None
while True:
    now = mood()
    if now == "offline":
        for one in list(peer):
            drop(one)
    if now != told:
        tell(now)
        told = now
    ready = select.select([listener] + (list(peer) if now == "well" else []), [], [], 0.02)[0]
    for one in ready:
        if one is listener:
            take(now)
            continue
        if one not in peer:
            continue
        try:
            data = one.recv(65536)
            if not data:
                raise OSError
            peer[one].sendall(data)
        except OSError:
            drop(one)
