/** Exit codes: the documents list each, and a defect has its own, whatever causes it. */

import { afterAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';

import { EXIT_CODES } from '../../src/base/start-fault';
import { Scratch, tapedeck } from '../support/tapedeck-process';

const scratch = new Scratch();
afterAll(() => scratch.remove());

const ROOT = join(import.meta.dir, '../..');
/** Codes without a fault: success, an unsound journal, a defect, a second signal. */
const OTHERS = [0, 1, 70, 130];

test('the document of commands lists each, and no other', async () => {
  const readme = await Bun.file(join(ROOT, 'src/docs/reference/commands.md')).text();
  const table = readme.slice(readme.indexOf('| exit code |'));
  const rows = table.slice(0, table.indexOf('\n\n')).matchAll(/^\| (\d+) +\|/gm);
  const documented = [...rows].map(([, code]) => Number(code));
  const own = new Set([...OTHERS, ...Object.values(EXIT_CODES)]);
  expect(documented).toEqual([...own].sort((a, b) => a - b));
});

/** Code that does this as soon as a server runs, which is when it handles signals. */
function whenServing(what: string): string {
  return `const look = setInterval(() => {
    if (process.listenerCount('SIGTERM') === 0) return;
    clearInterval(look);
    ${what};
  }, 5);`;
}

describe('a defect ends with 70 and its stack', () => {
  test.each([
    [
      'thrown in a command',
      'process.stdout.write = () => { throw new Error("made") };',
      ['completion', 'bash'],
    ],
    [
      'thrown in the loop of a server',
      whenServing('throw new Error("made")'),
      ['serve', '--port', '0', '--data', scratch.fresh()],
    ],
    [
      'a promise that nobody waits for',
      whenServing('void Promise.reject(new Error("made"))'),
      ['serve', '--port', '0', '--data', scratch.fresh()],
    ],
  ])('%s', async (_, code, args) => {
    const preload = scratch.write(code, '.ts');
    const command = [process.execPath, '--preload', preload, join(ROOT, 'src/main.ts')];
    const done = await tapedeck(args, { command });
    expect(done.code).toBe(70);
    // Before it, a server has logged its start.
    expect(done.stderr).toMatch(/^tapedeck: a defect of the program\n/m);
    expect(done.stderr).toMatch(/error: made\n[^]* at /);
  });
});
