/** Completion: which words are offered, and that real shells complete them when Tab is pressed. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { Command } from 'commander';
import fc from 'fast-check';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { candidatesFor, type Surroundings } from '../../src/cli/completion-words';
import { createProgram } from '../../src/cli/program';
import { ROLES } from '../../src/gateway/auth/stored-keys';
import { book, instrument, tape, trade } from '../support/feed';
import { PROGRAM_IN_SHELL } from '../support/program';
import { Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';

setDefaultTimeout(60_000);
const scratch = new Scratch();
afterAll(() => scratch.remove());

const AROUND: Surroundings = {
  symbols: () => Promise.resolve(['ACME', 'BETA']),
  keyNames: () => ['desk'],
};

async function offered(...words: string[]): Promise<string[]> {
  const found = await candidatesFor(createProgram(), words, AROUND);
  return [...found.words.map(({ word }) => word), ...(found.files ? ['(files)'] : [])];
}

describe('the words that are offered', () => {
  test.each([
    [['ver'], ['verify']],
    [
      ['keys', ''],
      ['make', 'list', 'revoke', 'help'],
    ],
    [['config', 'p'], ['print']],
    [['keys', 'make', 'desk', '--role', ''], [...ROLES]],
    [['keys', 'make', 'desk', '--role', 'read', 'tr'], ['trade']],
    [['keys', 'make', 'desk', '--role', 'read', '--sy'], ['--symbols']],
    [['keys', 'make', '--symbols', 'A'], ['ACME']],
    [['keys', 'make', ''], []],
    [['keys', 'revoke', ''], ['desk']],
    [['export', '--fr'], ['--from']],
    [['export', '--format', 'c'], ['csv']],
    [['export', '--format=c'], ['--format=csv']],
    [
      ['export', '--symbol', ''],
      ['ACME', 'BETA'],
    ],
    [['export', '--data', ''], ['(files)']],
    [['export', '--from', ''], []],
    [
      ['replay', '--on-fault', ''],
      ['stop', 'skip'],
    ],
    [['import', '--time-u'], ['--time-unit']],
    [
      ['import', '--on-fault', 's'],
      ['stop', 'skip'],
    ],
    [['replay', 'a.ndjson', ''], ['(files)']],
    [['replay', '--', '--on'], ['(files)']],
    [
      ['book', ''],
      ['ACME', 'BETA'],
    ],
    [['book', 'ACME', ''], []],
    [['book', '--json', 'B'], ['BETA']],
    [['tail', 'tr'], ['trade:']],
    [
      ['tail', 'status', 'trade:'],
      ['trade:*', 'trade:ACME', 'trade:BETA'],
    ],
    [['tail', 'bar:A'], ['bar:ACME:']],
    [
      ['tail', 'bar:ACME:'],
      ['bar:ACME:1s', 'bar:ACME:1m', 'bar:ACME:5m', 'bar:ACME:1h', 'bar:ACME:1d'],
    ],
    [['config', 'check', '--durability', 'f'], ['fsync']],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['help', 'ta'], ['tail']],
    [['--v'], ['--version']],
    [['nonsense', ''], []],
    [['complet'], ['completion']], // and not the commands that the scripts call
  ])('%j: %j', async (words, expected) => {
    expect(await offered(...words)).toEqual(expected);
  });

  /** Every command with the words that lead to it. */
  function paths(command: Command, before: readonly string[] = []): [string[], Command][] {
    return command.commands.flatMap((inner) => {
      const path = [...before, inner.name()];
      return [[path, inner] as [string[], Command], ...paths(inner, path)];
    });
  }
  const all = paths(createProgram());

  test.each(all)('every option of %p, and every word that it accepts', async (path, command) => {
    const flags = await offered(...path, '--');
    for (const { long, argChoices } of command.options) {
      expect(flags).toContain(long!);
      if (argChoices === undefined) continue;
      expect(await offered(...path, long!, '')).toEqual(argChoices);
      expect(await offered(...path, `${long}=`)).toEqual(
        argChoices.map((word) => `${long}=${word}`),
      );
    }
    for (const { argChoices } of command.registeredArguments) {
      if (argChoices !== undefined) expect(await offered(...path, '')).toEqual(argChoices);
    }
    for (const inner of command.commands)
      expect(await offered(...path, '')).toContain(inner.name());
  });

  test('everything offered begins with what was typed', async () => {
    const known = all.flatMap(([path, { options }]) =>
      path.concat(options.map(({ long }) => long!)),
    );
    const word = fc.oneof(fc.constantFrom(...known, '--', '-', ''), fc.string());
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 6 }), async (words) => {
        const found = await candidatesFor(createProgram(), words, AROUND);
        for (const candidate of found.words) expect(candidate.word).toStartWith(words.at(-1) ?? '');
      }),
      { numRuns: 500 },
    );
  });
});

describe('in a shell', () => {
  let server: ServerProcess;
  let bin: string;

  beforeAll(async () => {
    server = await ServerProcess.start();
    const events = [instrument('ACME'), book('ACME', 'snapshot', [['9.99', '1']], [])];
    await server.ingest(tape(...events, trade('ACME', '10.00', '1'), instrument('BETA')));
    // The shell calls the real program for candidates; a complete call only prints its arguments.
    bin = scratch.fresh();
    mkdirSync(bin);
    const program = join(bin, 'tapedeck');
    writeFileSync(
      program,
      `#!/bin/bash\nif [ "$1" = complete ]; then exec ${PROGRAM_IN_SHELL} "$@"; fi\nprintf 'GOT'; printf '<%s>' "$@"; printf '\\n'\n`,
    );
    chmodSync(program, 0o755);
  });
  afterAll(() => server.remove());

  /** What is typed up to Tab, and what the command then received; \`{url}\` and \`{data}\` stand for the server. */
  const TYPED: readonly (readonly [typed: string, got: readonly string[]])[] = [
    ['ver', ['verify']],
    ['keys m', ['keys', 'make']],
    ['keys make x --role pub', ['keys', 'make', 'x', '--role', 'publish']],
    ['keys make x --role read tr', ['keys', 'make', 'x', '--role', 'read', 'trade']],
    ['config pr', ['config', 'print']],
    ['export --fo', ['export', '--format']],
    ['export --format c', ['export', '--format', 'csv']],
    ['export --format=c', ['export', '--format=csv']],
    ['replay --on-fault sk', ['replay', '--on-fault', 'skip']],
    ['export --data {data} --symbol A', ['export', '--data', '{data}', '--symbol', 'ACME']],
    ['book --url {url} B', ['book', '--url', '{url}', 'BETA']],
    ['tail --url {url} trade:A', ['tail', '--url', '{url}', 'trade:ACME']],
    ['tail --url {url} bar:ACME:5', ['tail', '--url', '{url}', 'bar:ACME:5m']],
    ['verify --data {data}/journal.sq', ['verify', '--data', '{data}/journal.sqlite']],
  ];

  function filled(text: string): string {
    return text.replace('{url}', server.url).replace('{data}', server.data);
  }

  /** A shell on a terminal, in which lines are typed up to Tab, and then Enter. */
  class Shell {
    private text = '';
    private seen = (): void => {};
    private readonly child: ReturnType<typeof Bun.spawn>;

    constructor(command: readonly string[]) {
      this.child = Bun.spawn([...command], {
        env: { PATH: `${bin}:${process.env['PATH']}`, TERM: 'dumb', HOME: scratch.path, PS1: '$ ' },
        timeout: 100_000,
        terminal: {
          cols: 400,
          rows: 24,
          data: (_terminal, data) => {
            this.text += Buffer.from(data).toString();
            this.seen();
          },
        },
      });
    }

    /** Types the keys, and waits for matching output. */
    async type(keys: string, pattern: RegExp): Promise<string> {
      this.text = '';
      this.child.terminal!.write(keys);
      for (;;) {
        const found = pattern.exec(this.text);
        if (found !== null) return found[1]!;
        if (this.child.exitCode !== null) throw new Error(`the shell ended: ${this.text}`);
        await new Promise<void>((resolve) => (this.seen = resolve));
      }
    }

    /** What the command received for a line with Tab in it. */
    got(line: string): Promise<string> {
      return this.type(`tapedeck ${line}\r`, /GOT(<.*>)\r?\n/);
    }

    async end(): Promise<void> {
      this.child.terminal!.write('exit\r');
      await this.child.exited;
    }
  }

  async function expectTyped(command: readonly string[], setUp: string): Promise<void> {
    const shell = new Shell(command);
    await shell.type(`${setUp}; echo se""t\r`, /^(set)\r?$/m);
    for (const [line, got] of TYPED) {
      const expected = got.map((word) => `<${filled(word)}>`).join('');
      expect([line, await shell.got(`${filled(line)}\t`)]).toEqual([line, expected]);
    }
    // A channel is not complete: no space follows it.
    expect(await shell.got(`tail --url ${server.url} tr\tAC\t`)).toEndWith('<trade:ACME>');
    await shell.end();
  }

  async function scriptOf(shell: string): Promise<string> {
    const { code, stdout } = await tapedeck(['completion', shell]);
    expect(code).toBe(0);
    return scratch.write(stdout, `.${shell}`);
  }

  test('bash', async () => {
    await expectTyped(['bash', '--norc', '-i'], `source ${await scriptOf('bash')}`);
  });

  test.skipIf(Bun.which('zsh') === null)('zsh', async () => {
    const script = await scriptOf('zsh');
    await expectTyped(
      ['zsh', '-f', '-i'],
      `autoload -Uz compinit; compinit -u -D; source ${script}`,
    );
  });

  test.skipIf(Bun.which('fish') === null)('fish', async () => {
    // It prints what it would offer.
    const asked = TYPED.map(
      ([line]) => `complete -C ${JSON.stringify(`tapedeck ${filled(line)}`)}; echo =next=`,
    );
    const command = [`source ${await scriptOf('fish')}`, ...asked].join('\n');
    const child = Bun.spawn(['fish', '--no-config', '-c', command], {
      env: { PATH: `${bin}:${process.env['PATH']}`, HOME: scratch.path },
    });
    const answers = (await new Response(child.stdout).text()).split('=next=\n');
    for (const [i, [, got]] of TYPED.entries()) {
      const words = answers[i]!.split('\n').map((text) => text.split('\t')[0]);
      expect(words).toContain(filled(got.at(-1)!));
    }
  });

  test('without a server or a journal nothing is offered or printed', async () => {
    for (const words of [
      ['book', '--url', 'http://127.0.0.1:1', ''],
      ['export', '--data', scratch.fresh(), '--symbol', ''],
    ]) {
      const done = await tapedeck(['complete', '--', ...words]);
      expect(done).toMatchObject({ code: 0, stdout: '', stderr: '' });
    }
  });
});

for (const shell of ['zsh', 'fish']) {
  if (Bun.which(shell) === null) console.log(`skipped: completion in ${shell}, which is not there`);
}
