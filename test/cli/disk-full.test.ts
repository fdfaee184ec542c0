/** A disk that is full ends the server with a message, and nothing that was acknowledged is lost. */

import { afterAll, expect, test } from 'bun:test';
import { cpSync, mkdirSync } from 'node:fs';

import { instrument, trade } from '../support/feed';
import { Scratch, ServerProcess } from '../support/tapedeck-process';

const scratch = new Scratch();

/** A file system of so many bytes; undefined where this user may not make one. */
function smallDisk(bytes: number): string | undefined {
  const path = scratch.fresh();
  mkdirSync(path);
  const { exitCode } = Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'none', path]);
  return exitCode === 0 ? path : undefined;
}

const disk = smallDisk(2_000_000);
if (disk === undefined) console.log('skipped: this user may not mount a small file system');
afterAll(() => {
  if (disk !== undefined) Bun.spawnSync(['umount', disk]);
  scratch.remove();
});

test.skipIf(disk === undefined)('a full disk', async () => {
  const server = await ServerProcess.start({ data: disk! });
  const ingest = (lines: readonly object[]): Promise<Response> =>
    server.ingest(lines.map((line) => JSON.stringify(line)).join('\n'));
  expect((await ingest([instrument('ACME')])).status).toBe(200);
  let acknowledged = 0;
  for (let round = 0; round < 200; round++) {
    const lines = Array.from({ length: 500 }, (_, i) =>
      trade('ACME', '10.00', '1.000', { seq: round * 500 + i + 1 }),
    );
    const answer = await ingest(lines).catch(() => undefined);
    if (answer?.status !== 200) break;
    acknowledged += lines.length;
  }
  // It ends by itself; the signal only bounds the wait.
  await Bun.sleep(500);
  const { code, stderr } = await server.stop();
  expect(code).toBe(74);
  expect(stderr).toContain('cannot be written');
  expect(stderr).not.toContain('    at ');
  expect(acknowledged).toBeGreaterThan(0);

  const room = scratch.fresh();
  cpSync(disk!, room, { recursive: true });
  const again = await ServerProcess.start({ data: room });
  const tick = await again.json('/v1/tick/ACME');
  expect(Number(tick['volume'])).toBe(acknowledged);
  await again.remove();
  await server.remove();
});
