/** Python with the packages that the reader in Python needs; undefined (and reported once) where it is missing. */

const CANDIDATES = ['python3', '/usr/bin/python3'];

export const PYTHON = CANDIDATES.find(
  (python) =>
    Bun.which(python) !== null &&
    Bun.spawnSync([python, '-c', 'import msgpack, websockets']).exitCode === 0,
);

if (PYTHON === undefined) {
  console.warn('SKIPPED: the reader in Python needs python3 with websockets and msgpack');
}
