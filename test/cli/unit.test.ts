/**
 * The systemd unit: it calls the program correctly, gives it enough time to stop, and retries only what may
 * succeed; systemd's own tools find no fault. It is not run here.
 */

import { afterAll, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { EXIT_CODES } from '../../src/base/start-fault';
import { serveCommand } from '../../src/cli/serve';
import { check, type Config } from '../../src/config/config';
import { Scratch } from '../support/tapedeck-process';

const UNIT = join(import.meta.dir, '../../src/deploy/tapedeck.service');
const text = readFileSync(UNIT, 'utf8');
const scratch = new Scratch();
afterAll(() => scratch.remove());

const ANALYZE = Bun.which('systemd-analyze');
if (ANALYZE === null)
  console.warn('skipped: what systemd says of the unit, since systemd-analyze is not there');

/** In tenths of the exposure level of systemd; 10.0 is the worst. */
const EXPOSURE_MAX = 20;

function setting(name: string): string {
  const found = new RegExp(`^${name}=(.*)$`, 'm').exec(text);
  if (found === null) throw new Error(`the unit has no ${name}`);
  return found[1]!;
}

test('calls "serve" with options that exist', () => {
  const [path, command, ...options] = setting('ExecStart').split(' ');
  expect([path, command]).toEqual(['/usr/local/bin/tapedeck', 'serve']);
  const known = serveCommand().options.map(({ long }) => long);
  for (const option of options.filter((word) => word.startsWith('--')))
    expect(known).toContain(option);
});

test('gives it time to drain, and descriptors for its sessions', () => {
  const config = check({}) as Config;
  expect(Number(setting('TimeoutStopSec')) * 1_000).toBeGreaterThan(2 * config.server.drainMs);
  expect(Number(setting('LimitNOFILE'))).toBeGreaterThan(2 * config.limits.sessionsMax);
});

test('does not retry what would fail again', () => {
  const futile = [
    'bad-usage',
    'bad-config',
    'bad-keys',
    'insecure',
    'data-unwritable',
    'journal-foreign',
    'journal-newer',
    'journal-older',
    'journal-damaged',
  ] as const;
  const excluded = setting('RestartPreventExitStatus').split(' ').map(Number);
  expect(new Set(excluded)).toEqual(new Set(futile.map((code) => EXIT_CODES[code])));
  for (const code of ['port-in-use', 'data-in-use', 'journal-unwritable'] as const) {
    expect(excluded).not.toContain(EXIT_CODES[code]);
  }
});

test.skipIf(ANALYZE === null)('systemd finds no fault, and little exposure', () => {
  // A program must exist; it is not checked which one.
  const unit = join(scratch.path, 'tapedeck.service');
  writeFileSync(unit, text.replace('/usr/local/bin/tapedeck', process.execPath));
  const verified = Bun.spawnSync([ANALYZE!, 'verify', unit]);
  expect([verified.exitCode, verified.stderr.toString()]).toEqual([0, '']);
  const threshold = `--threshold=${EXPOSURE_MAX}`;
  const secured = Bun.spawnSync([
    ANALYZE!,
    'security',
    '--offline=yes',
    '--no-pager',
    threshold,
    unit,
  ]);
  expect(secured.stdout.toString()).toContain('Overall exposure level for tapedeck.service');
  expect(secured.exitCode).toBe(0);
});
