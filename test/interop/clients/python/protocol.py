"""The drivers' common protocol (../README.md) for those written in Python."""

import json
import sys
import threading
import traceback

GIVE_UP_MS = 60_000
"""How long a producer tries."""

HEARTBEATS_PER_SESSION = 10
"""Leaves a member many chances before it is missed."""

POLL_SECONDS = 0.5

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

# A batch's header, and what one of our records takes at the most: for libraries that limit batches by bytes.
BATCH_HEADER_BYTES = 61
RECORD_BYTES = 130

_output = threading.Lock()


def tell(line):
    """Writes a line of the output, at once."""
    text = json.dumps(line)
    with _output:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def log(text):
    print(text, file=sys.stderr, flush=True)


def tell_call(call, work):
    """Does one call of `admin`, and tells how it went."""
    try:
        tell({"call": call, "result": work()})
    except Exception as error:
        log(f"{call}: {traceback.format_exc()}")
        tell({"call": call, "error": message_of(error)})


def message_of(error):
    return f"{type(error).__name__}: {error}"


def record_of(prefix, i):
    """Key, value and headers of the i-th record that `produce` sends."""
    key = f"{prefix}-{i}"
    return key.encode(), f"{key}-{'x' * 80}".encode(), [("n", str(i).encode())]


def text(data):
    return None if data is None else data.decode()


def tell_consumed(partition, offset, timestamp, key, value, headers):
    tell(
        {
            "partition": partition,
            "offset": offset,
            "timestamp": timestamp,
            "key": text(key),
            "value": text(value),
            "headers": {name: text(data) for name, data in headers or []},
        }
    )


def tell_sought(partition, offset, first):
    """`first` is (offset, timestamp) of what was read there; both None where there is no record as late."""
    read = None if first is None else {"offset": first[0], "timestamp": first[1]}
    tell({"partition": partition, "offset": offset, "first": read})


class MemberReport:
    """What a member of a group tells, and what it has still to commit."""

    def __init__(self):
        self._assigned = set()
        self._pending = {}

    def add(self, partitions):
        self._change(self._assigned | set(partitions))

    def remove(self, partitions):
        """They were revoked or lost: there is nothing to commit for them any more."""
        gone = set(partitions)
        for partition in gone:
            self._pending.pop(partition, None)
        self._change(self._assigned - gone)

    def _change(self, assigned):
        if assigned != self._assigned:
            self._assigned = assigned
            tell({"assigned": sorted(assigned)})

    def take(self, partition, offset, value):
        tell({"record": [partition, offset, text(value)]})
        self._pending[partition] = offset + 1

    def commit(self, commit):
        """Has `commit` commit what is pending; what fails is tried again the next time."""
        pending = dict(self._pending)
        if not pending:
            return
        try:
            commit(pending)
        except Exception as error:
            log(f"commit: {message_of(error)}")
            return
        self._pending = {at: next_ for at, next_ in self._pending.items() if pending.get(at) != next_}
        tell({"committed": {str(partition): next_ for partition, next_ in pending.items()}})


def serve(commands):
    """Runs the command of the command line, and ends the process as the protocol says."""
    try:
        if len(sys.argv) != 3:
            raise ValueError(f"usage: {sys.argv[0]} COMMAND JSON")
        name, args = sys.argv[1], json.loads(sys.argv[2])
        if name not in commands:
            raise ValueError(f"there is no command {name}")
        if name == "member":
            commands[name](args, _until_input_ends())
            tell({"left": True})
        else:
            commands[name](args)
    except Exception as error:
        traceback.print_exc()
        tell({"error": message_of(error)})
        sys.exit(1)


def _until_input_ends():
    """An event that is set when stdin ends."""
    ended = threading.Event()

    def wait():
        sys.stdin.buffer.read()
        ended.set()

    threading.Thread(target=wait, name="stdin", daemon=True).start()
    return ended
