/** Whether descriptors are available, tested in a process with a low limit. */

import { expect, test } from 'bun:test';
import { join } from 'node:path';

import { descriptorsMax, hasDescriptors } from '../../src/base/descriptors';

const MODULE = join(import.meta.dir, '../../src/base/descriptors.ts');

test('there are some, and the check leaves none open', () => {
  for (let i = 0; i < 200; i++) expect(hasDescriptors(64)).toBe(true);
  expect(hasDescriptors(0)).toBe(true);
});

test.skipIf(process.platform !== 'linux')('a process that may have sixty', () => {
  const script = `
    const { openSync } = require('node:fs');
    const { descriptorsMax, hasDescriptors } = await import(${JSON.stringify(MODULE)});
    const said = [descriptorsMax(), hasDescriptors(1), hasDescriptors(64)];
    try { for (;;) openSync('/dev/null', 'r'); } catch {}
    console.log(JSON.stringify([...said, hasDescriptors(1), hasDescriptors(0)]));`;
  const call = ['sh', '-c', 'ulimit -n 60; exec "$@"', 'sh', process.execPath, '-e', script];
  const { stdout } = Bun.spawnSync(call);
  expect(JSON.parse(stdout.toString())).toEqual([60, true, false, false, true]);
  expect(descriptorsMax()).toBeGreaterThan(60);
});
