"""What a pod runs that sends from its first instruction: before an interpreter is even loaded, and on for a second.

Told what it may reach, then what it must not. It shows nothing itself: who was planted there hears it or does not,
and the one door notes that it ran.
"""

from collections.abc import Iterable

SECONDS = 1.0
# A shell's own redirections: the first datagram leaves a few milliseconds after the pod's process is there.
_FIRST = """
program=$1 door=$2; shift 2
for place; do echo "$HOSTNAME" >"/dev/udp/${place%:*}/${place##*:}"; done 2>/dev/null
for place; do (: >"/dev/tcp/${place%:*}/${place##*:}") 2>/dev/null & done
exec python -I -S -c "$program" "$door" "$@"
"""
_THEN = f"""
import contextlib, http.client, socket, sys, time
door, *places = sys.argv[1:]
places = [(host, int(port)) for host, _, port in (place.rpartition(':') for place in places)]
name, streams, end = socket.gethostname(), [], time.monotonic() + {SECONDS}
datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagram.setblocking(False)
while time.monotonic() < end:
    for place in places:
        with contextlib.suppress(OSError):
            datagram.sendto(name.encode(), place)
        stream = socket.socket()
        stream.setblocking(False)
        with contextlib.suppress(OSError):
            stream.connect_ex(place)
        streams.append(stream)
    for stream in streams[:-100]:
        stream.close()
    del streams[:-100]
    time.sleep(0.01)
while True:
    with contextlib.suppress(OSError, http.client.HTTPException):
        told = http.client.HTTPConnection(door, timeout=5)
        told.request('GET', '/ran/' + name)
        told.getresponse().read()
        break
    time.sleep(0.2)
"""


def command(door: str, places: Iterable[tuple[str, int]]) -> list[str]:
    """Of a container of the notebook image."""
    return ["bash", "-c", _FIRST, "first", _THEN, door, *(f"{host}:{port}" for host, port in places)]
