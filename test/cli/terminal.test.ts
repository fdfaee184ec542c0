/** The live views on a terminal; a pipe gets plain lines. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';

import type { SourceEvent } from '../../protocol/messages';
import { around } from '../../src/cli/live-book';
import { TapedeckClient } from '../../src/client/client';
import { book, instrument, tape, trade } from '../support/feed';
import { PROGRAM } from '../support/program';
import { asMessage } from '../support/stream-client';
import { PUBLISH_KEY, ServerProcess, tapedeck } from '../support/tapedeck-process';

setDefaultTimeout(60_000);
const CTRL_C = '\u0003';
const ESCAPE = '\u001b';
/** Colours and bold; no cursor movements. */
const COLOUR = new RegExp(`${ESCAPE}\\[[\\d;]*m`);

let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start();
  await server.ingest(
    tape(
      instrument('ACME'),
      book('ACME', 'snapshot', [['9.99', '12.5']], [['10.01', '1']], { seq: 10 }),
    ),
  );
});
afterAll(() => server.remove());

/** The command line on a terminal, of 80 × 24 by default. */
class Terminal {
  text = '';
  readonly child: ReturnType<typeof Bun.spawn>;
  private seen: () => void = () => {};

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}, rows = 24) {
    this.child = Bun.spawn([...PROGRAM, ...args], {
      env: { PATH: process.env['PATH'] ?? '', TERM: 'xterm', ...env },
      timeout: 30_000,
      terminal: {
        cols: 80,
        rows,
        data: (_terminal, data) => {
          this.text += Buffer.from(data).toString();
          this.seen();
        },
      },
    });
  }

  async until(words: string): Promise<void> {
    while (!this.text.includes(words)) {
      await new Promise<void>((resolve) => {
        this.seen = resolve;
      });
    }
  }

  async interrupt(): Promise<number> {
    this.child.terminal!.write(CTRL_C);
    return this.child.exited;
  }
}

describe('book', () => {
  test('[B9] says beside its levels that their source is gone', async () => {
    const source = await TapedeckClient.connect(server.url, { key: PUBLISH_KEY });
    const [definition, levels] = [
      instrument('GONE'),
      book('GONE', 'snapshot', [['8.76', '54.3']], [], { seq: 10 }),
    ].map(asMessage) as [SourceEvent, SourceEvent];
    await source.publish([definition, levels]);
    const terminal = new Terminal(['book', 'GONE', '--url', server.url]);
    await terminal.until('54.300');
    expect(terminal.text).not.toContain('stale');
    source.close();
    await terminal.until('stale: the source is gone');
    expect(await terminal.interrupt()).toBe(0);
  });

  test('is redrawn in place until Ctrl-C, and restores the cursor', async () => {
    const terminal = new Terminal(['book', 'ACME', '--url', server.url]);
    await terminal.until('12.500');
    await server.ingest(
      tape(book('ACME', 'snapshot', [['9.98', '77']], [['10.01', '1']], { seq: 11 })),
    );
    await terminal.until('77.000');
    expect(terminal.text).toMatch(new RegExp(`${ESCAPE}\\[\\d+A`));
    expect(await terminal.interrupt()).toBe(0);
    expect(terminal.text).toMatch(COLOUR);
    expect(terminal.text.lastIndexOf('\u001b[?25h')).toBeGreaterThan(
      terminal.text.lastIndexOf('\u001b[?25l'),
    );
    await server.ingest(
      tape(book('ACME', 'snapshot', [['9.99', '12.5']], [['10.01', '1']], { seq: 12 })),
    );
  });

  test('has no colours when NO_COLOR is set', async () => {
    const terminal = new Terminal(['book', 'ACME', '--url', server.url], { NO_COLOR: '1' });
    await terminal.until('12.500');
    expect(await terminal.interrupt()).toBe(0);
    expect(terminal.text).not.toMatch(COLOUR);
  });

  test.each([2, 3, 4, 5, 6, 8, 11, 24])(
    'displays both sides around the spread on %d lines',
    async (rows) => {
      const levels = (best: number, step: number): [string, string][] =>
        Array.from({ length: 10 }, (_, i) => [(best + step * i).toFixed(2), '1']);
      await server.ingest(
        tape(instrument('LOW'), book('LOW', 'snapshot', levels(20, -0.25), levels(21, 0.25))),
      );
      const terminal = new Terminal(['book', 'LOW', '--url', server.url], { NO_COLOR: '1' }, rows);
      await terminal.until('20.00');
      expect(await terminal.interrupt()).toBe(0);
      const picture = terminal.text
        .split(`${ESCAPE}[J`)
        .findLast((text) => text.includes('20.00'))!;
      const lines = picture.split('\n').filter((line) => /ask|bid|spread|LOW/.test(line));
      expect(lines.length).toBeLessThan(rows);
      const prices = lines
        .join(' ')
        .match(/(ask|bid) +\d+\.\d\d/g)!
        .map((text) => text.replace(/ +/, ' '));
      const asks = prices.filter((price) => price.startsWith('ask'));
      const bids = prices.filter((price) => price.startsWith('bid'));
      expect(Math.abs(asks.length - bids.length)).toBeLessThan(2);
      expect([asks.at(-1), bids[0]]).toEqual(['ask 21.00', 'bid 20.00']);
      // It uses all available lines.
      expect(lines.length).toBe(Math.min(rows - 1, 22));
    },
  );

  test('--once ends by itself', async () => {
    const terminal = new Terminal(['book', 'ACME', '--once', '--url', server.url]);
    expect(await terminal.child.exited).toBe(0);
    await terminal.until('ms old');
  });

  test('refuses an unknown symbol as in a pipe', async () => {
    const terminal = new Terminal(['book', 'NOBODY', '--url', server.url]);
    expect(await terminal.child.exited).toBe(77);
    await terminal.until('(unknown-symbol)');
  });

  test('says that the server is away, and continues when it is back', async () => {
    const short = await ServerProcess.start();
    await short.ingest(
      tape(instrument('ACME'), book('ACME', 'snapshot', [['1.00', '3']], [], { seq: 1 })),
    );
    const terminal = new Terminal(['book', 'ACME', '--url', short.url]);
    await terminal.until('3.000');
    await short.stop('SIGKILL');
    await terminal.until('reconnecting');
    const again = await ServerProcess.start({
      data: short.data,
      args: ['--port', new URL(short.url).port],
    });
    await again.ingest(tape(book('ACME', 'snapshot', [['1.00', '4']], [], { seq: 2 })));
    await terminal.until('4.000');
    expect(await terminal.interrupt()).toBe(0);
    await again.remove();
    await short.remove();
  });
});

describe('tail', () => {
  test('displays messages above a line that counts them', async () => {
    const terminal = new Terminal(['tail', 'trade:ACME', '--url', server.url]);
    await terminal.until('Ctrl-C ends');
    await terminal.until('instrument ACME');
    await server.ingest(tape(trade('ACME', '10.00', '2.5', { aggressor: 'buy' })));
    await terminal.until('price="10.00"');
    expect(await terminal.interrupt()).toBe(0);
    expect(terminal.text).toContain('trade:ACME: ');
    expect(terminal.text).toMatch(new RegExp(`${ESCAPE}\\[32m[\\d:.]+ trade ACME`));
  });

  test('counts messages that are too fast to display', async () => {
    const terminal = new Terminal(['tail', 'trade:ACME', '--url', server.url]);
    await terminal.until('instrument ACME');
    const many = Array.from({ length: 200 }, () => trade('ACME', '10.00', '1'));
    await server.ingest(tape(...many));
    await terminal.until('too fast to display');
    expect(await terminal.interrupt()).toBe(0);
  });
});

test('both sides share the room, and a short side leaves its room to the other', () => {
  const side = fc.integer({ min: 0, max: 12 }).map((length) => Array.from({ length }, (_, i) => i));
  fc.assert(
    fc.property(side, side, fc.integer({ min: 2, max: 24 }), (asks, bids, most) => {
      const printed = around(asks, bids, most);
      expect(printed.asks).toEqual(asks.slice(0, printed.asks.length));
      expect(printed.bids).toEqual(bids.slice(0, printed.bids.length));
      const both = printed.asks.length + printed.bids.length;
      expect(both).toBe(Math.min(most, asks.length + bids.length));
      const half = Math.floor(most / 2);
      expect(printed.asks.length).toBeGreaterThanOrEqual(Math.min(asks.length, half));
      expect(printed.bids.length).toBeGreaterThanOrEqual(Math.min(bids.length, half));
    }),
  );
});

test('a pipe gets no control sequences', async () => {
  const { stdout } = await tapedeck(['book', 'ACME', '--url', server.url], {
    env: { TERM: 'xterm' },
  });
  expect(stdout).toContain('bid');
  expect(stdout).not.toContain('\u001b');
});
