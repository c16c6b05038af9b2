"""The ledger's state on a KvStore: leaves, index, tree, history and head, written once a block.

Tables, by the first byte of the key (docs/spec/state-tree.md):

====  =====================================  ======================================================
``l``  raw key                                the current value of a leaf
``i``  index key                              the current value of an index entry
``n``  version | nibble path                  a node of the tree
``v``  version | SHA-256(key)                 raw key and value of a leaf that some kept root refers to
``r``  height at which the root changed       the reference of the root
``s``  height | chunk number                  what no root from that height on refers to
``m``  name                                   what the caller keeps beside the state
``b``  height                                 that a block's batch was written: batches.py
``h``  (nothing)                              the last committed height, where its root is from, its reference
``p``  (nothing)                              the lowest height that pruning left whole
``f``  (nothing)                              the number of this format
====  =====================================  ======================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from abci_app.block import Changes
from abci_app.hashing import u64
from abci_app.state.nodes import NO_REF, REF_BYTES, Ref, TreeCorrupt, ref_hash
from abci_app.state.proof import ProvedLeaf, encode_absence, encode_existence
from abci_app.state.tree import NodeCache, TreeUpdate, changes_of, update_tree
from abci_app.state.walk import LeafPath, entries_of, find_leaf, neighbour
from abci_app.storage.batches import next_batch, read_batches
from abci_app.storage.kv import KvReader, KvSnapshot, KvStore, StoreCorrupt, StoreOfAnotherFormat

FORMAT = b"dta-state-2"
MAX_KEY_BYTES = 1024
MAX_VALUE_BYTES = 4096
MIN_KEEP_VERSIONS = 100
DEFAULT_PRUNE_LIMIT = 20_000
STALE_CHUNK_KEYS = 512

LEAVES, INDEX, NODES, VALUES, ROOTS, STALE, META, HEAD, PRUNED, FORMAT_KEY = (
    b"l", b"i", b"n", b"v", b"r", b"s", b"m", b"h", b"p", b"f",
)  # fmt: skip


class VersionPruned(LookupError):
    """The tree at ``height`` is not kept any more; ``oldest`` is the lowest height that is."""

    def __init__(self, height: int, oldest: int) -> None:
        super().__init__(f"height {height} is pruned; the oldest kept is {oldest}")
        self.height = height
        self.oldest = oldest


class VersionUnknown(LookupError):
    """No block of ``height`` is committed here; ``latest`` is the last that is (0: none)."""

    def __init__(self, height: int, latest: int) -> None:
        super().__init__(f"height {height} is not committed; the latest is {latest}")
        self.height = height
        self.latest = latest


class TreeEmpty(LookupError):
    """The tree at ``height`` has no leaf: its root says so, and ICS23 has no proof for it."""

    def __init__(self, height: int) -> None:
        super().__init__(f"the tree at height {height} is empty")
        self.height = height


@dataclass(frozen=True, slots=True)
class Proved:
    """What is at ``key`` at ``height``: the value or None, the ICS23 proof of that, and the root it leads to."""

    key: bytes
    value: bytes | None
    proof: bytes
    root: bytes
    height: int


@dataclass(frozen=True, slots=True)
class Head:
    """The last committed height, the height at which its root came about, the oldest batch entry, the root."""

    height: int
    root_since: int
    oldest_batch: int
    root: Ref


@dataclass(frozen=True, slots=True)
class Staged:
    """A block's changes with their tree, ready to be committed or dropped. ``app_hash`` is 32 bytes."""

    height: int
    app_hash: bytes
    base: int
    changes: Changes = field(repr=False)
    meta: Mapping[str, bytes] = field(repr=False)
    tree: TreeUpdate = field(repr=False)


class KvView:
    """A StateView over the tables of a reader, with its height, past roots and proofs."""

    def __init__(self, kv: KvReader, keep_versions: int) -> None:
        self._kv = kv
        self._keep_versions = keep_versions

    def get(self, key: bytes) -> bytes | None:
        """The leaf at ``key``, or None."""
        return self._kv.get(LEAVES + key)

    def index_get(self, key: bytes) -> bytes | None:
        """The index entry at ``key``, or None."""
        return self._kv.get(INDEX + key)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Leaves whose key starts with ``prefix`` and is greater than ``after``, ascending, at most ``limit``."""
        return ((key[1:], value) for key, value in self._kv.scan(LEAVES + prefix, LEAVES + after, limit))

    def index_scan(
        self, prefix: bytes, after: bytes = b"", limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Index entries whose key starts with ``prefix`` and is greater than ``after``, ascending."""
        return ((key[1:], value) for key, value in self._kv.scan(INDEX + prefix, INDEX + after, limit))

    def meta(self, name: str) -> bytes | None:
        """What the caller kept under ``name`` with the last block that named it."""
        return self._kv.get(META + name.encode("ascii"))

    def committed_height(self) -> int:
        """The height of the last committed block, 0 before the first."""
        return self.head().height

    def head(self) -> Head:
        """Of the last committed block."""
        stored = self._kv.get(HEAD)
        if stored is None:
            return Head(0, 0, 0, NO_REF)
        if len(stored) not in (24, 24 + REF_BYTES):
            raise StoreCorrupt(f"the head has {len(stored)} bytes")
        height, since, oldest = (int.from_bytes(stored[at : at + 8], "big") for at in (0, 8, 16))
        return Head(height, since, oldest, stored[24:])

    def oldest_height(self) -> int:
        """The lowest height whose tree is promised to be whole."""
        pruned = self._kv.get(PRUNED)
        whole = int.from_bytes(pruned, "big") if pruned is not None else 0
        return max(whole, self.committed_height() - self._keep_versions + 1)

    def root_at(self, height: int) -> Ref:
        """The reference of the root at ``height``. Raises VersionPruned and VersionUnknown."""
        head = self.head()
        latest = head.height
        if height > latest or height < 1:
            raise VersionUnknown(height, latest)
        oldest = self.oldest_height()
        if height < oldest:
            raise VersionPruned(height, oldest)
        if height >= head.root_since:
            return head.root
        found = self._kv.last_at_or_before(ROOTS, ROOTS + u64(height))
        if found is None:
            raise VersionUnknown(height, latest)
        return found[1]

    def node(self, key: bytes) -> bytes:
        """The stored bytes of a tree node. Raises StoreCorrupt when there is none."""
        stored = self._kv.get(NODES + key)
        if stored is None:
            raise StoreCorrupt(f"the tree node {key.hex()} is missing")
        return stored

    def leaf_of(self, entry: bytes) -> tuple[bytes, bytes]:
        """The raw key and value of a tree entry. Raises StoreCorrupt when they are not there."""
        stored = self._kv.get(VALUES + entry[32:40] + entry[:32])
        if stored is None:
            raise StoreCorrupt(f"the value of the tree entry {entry[:40].hex()} is missing")
        key_end = 2 + int.from_bytes(stored[:2], "big")
        return stored[2:key_end], stored[key_end:]

    def leaves_at(self, height: int) -> Iterator[tuple[bytes, bytes]]:
        """Every raw key and value at ``height``, in the order of SHA-256(key)."""
        return (self.leaf_of(entry) for entry in entries_of(self.node, self.root_at(height)))

    def prove(self, key: bytes, height: int) -> Proved:
        """The value of ``key`` at ``height``, or its absence, with the ICS23 proof.

        Raises VersionPruned, VersionUnknown, TreeEmpty; ValueError for an empty key; StoreCorrupt.
        """
        if not key:
            raise ValueError("an empty key is neither present nor absent")
        root = self.root_at(height)
        if not root:
            raise TreeEmpty(height)
        key_hash = sha256(key).digest()
        try:
            found = find_leaf(self.node, root, key_hash)
            if found is not None:
                leaf = self._proved(found)
                return Proved(key, leaf.value, encode_existence(leaf), ref_hash(root), height)
            left = neighbour(self.node, root, key_hash, before=True)
            right = neighbour(self.node, root, key_hash, before=False)
        except TreeCorrupt as error:
            raise StoreCorrupt(str(error)) from error
        left_leaf = None if left is None else self._proved(left)
        right_leaf = None if right is None else self._proved(right)
        return Proved(key, None, encode_absence(key, left_leaf, right_leaf), ref_hash(root), height)

    def _proved(self, found: LeafPath) -> ProvedLeaf:
        key, value = self.leaf_of(found.entry)
        return ProvedLeaf(key, value, found.steps)


class SnapshotView(KvView):
    """The state as it was at ``height``, whatever is committed or pruned since. Close it when done."""

    def __init__(self, kv: KvSnapshot, keep_versions: int) -> None:
        super().__init__(kv, keep_versions)
        self._snapshot = kv
        self._head = super().head()
        self.height = self._head.height
        self.app_hash = ref_hash(self._head.root)

    def head(self) -> Head:
        """See :meth:`KvView.head`: here it is always the same."""
        return self._head

    def prove_newest(self, key: bytes) -> Proved:
        """As ``prove`` at ``height``. Raises StoreCorrupt too where the leaf table says otherwise than the tree."""
        proved = self.prove(key, self.height)
        if self.get(key) != proved.value:
            raise leaf_differs(key, self.height, "the leaf has another value than the tree, or is missing")
        return proved

    def close(self) -> None:
        """Let the snapshot go. Reading of its tables afterwards raises StorageFailure."""
        self._snapshot.close()


class StateDB:
    """The state of one ledger: opens at the last committed height. One thread writes; any thread may snapshot."""

    height: int
    app_hash: bytes

    def __init__(
        self,
        kv: KvStore,
        *,
        keep_versions: int = MIN_KEEP_VERSIONS,
        prune_limit: int = DEFAULT_PRUNE_LIMIT,
        cache: NodeCache | None = None,
    ) -> None:
        if keep_versions < MIN_KEEP_VERSIONS:
            raise ValueError(f"at least {MIN_KEEP_VERSIONS} heights are kept, not {keep_versions}")
        self._kv = kv
        self._keep_versions = keep_versions
        self._prune_limit = prune_limit
        self._cache = cache if cache is not None else NodeCache()
        self._view = KvView(kv, keep_versions)
        found = kv.get(FORMAT_KEY)
        if found is not None and found != FORMAT:
            raise StoreOfAnotherFormat(found, FORMAT)
        head = self._view.head()
        if (found is None) != (head.height == 0):
            raise StoreCorrupt("the store has a format but no height, or a height but no format")
        self.height, self._root_since, self._root = head.height, head.root_since, head.root
        self.app_hash = ref_hash(self._root)
        self._batches = read_batches(kv, self.height, head.oldest_batch, self.app_hash)

    def meta(self, name: str) -> bytes | None:
        """What was committed under ``name``, or None."""
        return self._view.meta(name)

    def view(self) -> KvView:
        """The latest committed state. It moves on with each commit."""
        return self._view

    def snapshot(self) -> SnapshotView:
        """The committed state as it is now; usable from another thread."""
        return SnapshotView(self._kv.snapshot(), self._keep_versions)

    def check_files(self) -> None:
        """Whether the store's files are as they were written. Raises StoreCorrupt."""
        self._kv.check_files()

    def stage(self, height: int, changes: Changes, meta: Mapping[str, bytes] | None = None) -> Staged:
        """The block ``height`` with ``changes``: computes the tree and writes nothing, so it can be dropped.

        The first block may have any height from 1 on, each later one follows the last committed. ``meta`` is committed
        with it: names are ASCII. Raises ValueError on a wrong height and on changes that are not sorted, name a key
        twice, or have an empty or oversized key or value (keys 1 to 1024 bytes, values 1 to 4096); StoreCorrupt.
        """
        if height < 1 or (self.height and height != self.height + 1):
            raise ValueError(f"block {height} cannot follow block {self.height}")
        _check_changes(changes)
        try:
            update = update_tree(
                self._view.node, self._cache, self._root, height, changes_of(changes.leaves, height)
            )
        except TreeCorrupt as error:
            raise StoreCorrupt(str(error)) from error
        return Staged(height, ref_hash(update.root), self.height, changes, dict(meta or {}), update)

    def commit(self, staged: Staged) -> None:
        """Make ``staged`` the last committed block: one synced write of everything, or nothing.

        Raises ValueError when another block was committed since it was staged, StorageFailure when the write failed
        (then the process must end: what is on disk is the state before or after, and only opening it again tells).
        """
        if staged.base != self.height:
            raise ValueError(f"block {staged.height} was staged on {staged.base}, not on {self.height}")
        root_since = self._root_since
        if staged.tree.root != self._root or not self.height:
            root_since = staged.height
        batch = self._batch(staged, root_since)
        size_bytes = sum(len(key) + len(value or b"") for key, value in batch) + len(HEAD) + 24 + len(staged.tree.root)
        rows, batches = next_batch(self._kv, self._batches, staged.height, staged.app_hash, size_bytes)
        head = b"".join(map(u64, (staged.height, root_since, batches.oldest))) + staged.tree.root
        self._kv.write([*batch, *rows, (HEAD, head)], sync=True)
        self._batches = batches
        self._cache.replace(staged.tree)
        self._root, self._root_since = staged.tree.root, root_since
        self.app_hash = staged.app_hash
        self.height = staged.height

    def prune(self, limit: int | None = None) -> int:
        """Delete what no kept height needs: about ``limit`` entries, whole chunks of at most 512 and at least one.

        Returns how many were deleted; 0 means nothing is left to do. To be called between blocks.
        """
        limit = self._prune_limit if limit is None else limit
        bound = self.height - self._keep_versions + 1
        batch: list[tuple[bytes, bytes | None]] = []
        deleted = 0
        whole = 0
        # From where pruning has come to: what it deleted stays in LevelDB's way until it is compacted.
        for key, chunk in self._kv.scan(STALE, STALE + (self._kv.get(PRUNED) or b"")):
            version = int.from_bytes(key[1:9], "big")
            if version > bound:
                break
            doomed = _unpack_keys(chunk)
            if deleted and deleted + len(doomed) > limit:
                break
            batch += [(old, None) for old in doomed]
            batch.append((key, None))
            deleted += len(doomed)
            whole = version
        if batch:
            self._kv.write([*batch, (PRUNED, u64(whole))], sync=False)
        return deleted

    def prove(self, key: bytes, height: int) -> Proved:
        """See KvView.prove; reads one snapshot, so pruning meanwhile does no harm."""
        snapshot = self.snapshot()
        try:
            return snapshot.prove(key, height)
        finally:
            snapshot.close()

    def close(self) -> None:
        """Release the store."""
        self._kv.close()

    def _batch(self, staged: Staged, root_since: int) -> list[tuple[bytes, bytes | None]]:
        tree, height = staged.tree, u64(staged.height)
        leaves = {sha256(key).digest(): (key, value) for key, value in staged.changes.leaves}
        batch: list[tuple[bytes, bytes | None]] = []
        for entry in tree.stored:
            key, value = leaves[entry[:32]]
            if value is not None:
                batch.append((LEAVES + key, value))
                batch.append((VALUES + entry[32:40] + entry[:32], len(key).to_bytes(2, "big") + key + value))
        batch += [(LEAVES + leaves[key_hash][0], None) for key_hash in tree.removed]
        batch += [(NODES + key, stored) for key, stored in tree.nodes()]
        batch += [(INDEX + key, entry_value) for key, entry_value in staged.changes.index]
        stale = [NODES + key for key in tree.stale_nodes] + [VALUES + key for key in tree.stale_values]
        if root_since == staged.height:
            if self.height:
                stale.append(ROOTS + u64(self._root_since))
            batch.append((ROOTS + height, tree.root))
        for start in range(0, len(stale), STALE_CHUNK_KEYS):
            chunk = (start // STALE_CHUNK_KEYS).to_bytes(4, "big")
            batch.append((STALE + height + chunk, _pack_keys(stale[start : start + STALE_CHUNK_KEYS])))
        batch += [(META + name.encode("ascii"), staged.meta[name]) for name in sorted(staged.meta)]
        if not self.height:
            batch.append((FORMAT_KEY, FORMAT))
        return batch


def leaf_differs(key: bytes, height: int, what: str) -> StoreCorrupt:
    """The failure that a leaf which is not what the tree says stands for."""
    return StoreCorrupt(f"leaf {key.hex()} at height {height}: {what}")


def _check_changes(changes: Changes) -> None:
    previous = b""
    for key, value in changes.leaves:
        if not previous < key:
            raise ValueError("leaves must be sorted by key, each key once and none empty")
        if len(key) > MAX_KEY_BYTES:
            raise ValueError(f"a key has {len(key)} bytes, more than {MAX_KEY_BYTES}")
        if value is not None and not 0 < len(value) <= MAX_VALUE_BYTES:
            raise ValueError(f"a value has {len(value)} bytes, not 1 to {MAX_VALUE_BYTES}")
        previous = key
    previous = b""
    for key, _ in changes.index:
        if not previous < key:
            raise ValueError("index entries must be sorted by key, each key once and none empty")
        previous = key


def _pack_keys(keys: Sequence[bytes]) -> bytes:
    return b"".join([bytes((len(key),)) + key for key in keys])


def _unpack_keys(packed: bytes) -> list[bytes]:
    keys: list[bytes] = []
    at = 0
    while at < len(packed):
        end = at + 1 + packed[at]
        keys.append(packed[at + 1 : end])
        at = end
    return keys
