/** `tapedeck tail` and `tapedeck book` against a real server. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { CHANNELS } from '../../protocol/channels';
import type { SourceEvent } from '../../protocol/messages';
import { listed } from '../../protocol/topics';
import { TapedeckClient } from '../../src/client/client';
import { book, instrument, tape, trade } from '../support/feed';
import { PROGRAM } from '../support/program';
import { asMessage } from '../support/stream-client';
import {
  PUBLISH_KEY,
  Scratch,
  ServerProcess,
  spawnTapedeck,
  tapedeck,
} from '../support/tapedeck-process';

const scratch = new Scratch();
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start();
  await server.ingest(
    tape(
      instrument('ACME'),
      book(
        'ACME',
        'snapshot',
        [
          ['9.99', '12.5'],
          ['9.98', '3'],
        ],
        [
          ['10.00', '1'],
          ['101.50', '0.001'],
        ],
        { seq: 10 },
      ),
      instrument('EMPTY'),
    ),
  );
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

/** Lines of standard output until there are this many, or the end. */
async function linesOf(child: ReturnType<typeof spawnTapedeck>, count: number): Promise<string[]> {
  const reader = child.stdout.getReader();
  let text = '';
  while (text.split('\n').length <= count) {
    const { value, done } = await reader.read();
    if (done) break;
    text += Buffer.from(value as Uint8Array).toString();
  }
  reader.releaseLock();
  return text.split('\n').filter((line) => line !== '');
}

describe('book', () => {
  test('a ladder: asks above bids, best in the middle, columns aligned', async () => {
    const { code, stdout, stderr } = await tapedeck(['book', 'ACME', '--url', server.url]);
    expect([code, stderr]).toEqual([0, '']);
    const [head, ...ladder] = stdout.trimEnd().split('\n');
    expect(head).toMatch(/^ACME {2}seq 2 {2}(live|l1) {2}\d+ ms old$/);
    expect(ladder).toEqual([
      'ask  101.50     0.001',
      'ask   10.00     1.000',
      'bid    9.99    12.500',
      'bid    9.98     3.000',
    ]);
  });

  test('[B9] once: says that the source is gone, or that the server restarted', async () => {
    const own = await ServerProcess.start();
    const source = await TapedeckClient.connect(own.url, { key: PUBLISH_KEY });
    const events = [
      instrument('GONE'),
      book('GONE', 'snapshot', [['8.76', '54.3']], [], { seq: 10 }),
    ].map(asMessage) as SourceEvent[];
    await source.publish(events);
    const head = async (url: string): Promise<string> =>
      (await tapedeck(['book', 'GONE', '--url', url])).stdout.split('\n')[0]!;
    expect(await head(own.url)).toMatch(/ms old$/);
    source.close();
    while (!(await head(own.url)).endsWith('stale: the source is gone'));
    await own.stop();
    const again = await ServerProcess.start({ data: own.data });
    expect(await head(again.url)).toContain('recovered: nothing received since the restart');
    await again.remove();
    await own.remove();
  });

  test('--depth and --json', async () => {
    const args = ['book', 'ACME', '--url', server.url.replace('http://', ''), '--depth', '1'];
    expect((await tapedeck(args)).stdout.trimEnd().split('\n')).toHaveLength(3);
    const { stdout } = await tapedeck([...args, '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ symbol: 'ACME', bids: [['9.99', '12.500']] });
  });

  test.each([
    ['NOBODY', [], 'no instrument is named NOBODY (unknown-symbol)'],
    ['EMPTY', [], 'no book of EMPTY is known yet (no-data)'],
    ['../../etc', [], '(invalid-field)'],
    ['ACME', ['--depth', '999999'], 'expected an integer from 1 to 5000 (invalid-field)'],
    ['ACME', ['--at', '2014-08-09T00:35:00Z'], '(before-first-record)'],
  ])('%s %j is refused with exit code 77', async (symbol, more, words) => {
    const { code, stdout, stderr } = await tapedeck(['book', symbol, '--url', server.url, ...more]);
    expect([code, stdout]).toEqual([77, '']);
    expect(stderr).toContain(words);
  });
});

describe('tail', () => {
  test('one line for each message, for people', async () => {
    const child = spawnTapedeck(['tail', 'trade:ACME', 'book:ACME', '--url', server.url]);
    const [definition, snapshot] = await linesOf(child, 2);
    expect(definition).toContain('instrument ACME #1 market="feed"');
    expect(snapshot).toBe(
      '22:13:20.123 book ACME #2 form="snapshot" bids=[9.99×12.500 9.98×3.000] asks=[10.00×1.000 101.50×0.001] crc=' +
        /crc=(\d+)$/.exec(snapshot!)![1],
    );
    await server.ingest(tape(trade('ACME', '10.00', '2.5', { aggressor: 'sell' })));
    expect((await linesOf(child, 1))[0]).toMatch(
      /^22:13:20\.123 trade ACME #\d+ price="10\.00" quantity="2\.500" aggressor="sell"/,
    );
    child.kill('SIGINT');
    expect(await child.exited).toBe(0);
  });

  test('replay reads the output of --json back into the same market', async () => {
    const symbols = ['ONE', 'TWO'];
    const child = spawnTapedeck([
      'tail',
      '--json',
      'trade:*',
      'book:*',
      'bbo:*',
      '--url',
      server.url,
    ]);
    const first = await linesOf(child, 4);
    for (const symbol of symbols) {
      await server.ingest(
        tape(
          instrument(symbol),
          book(symbol, 'snapshot', [['1.00', '1']], [['1.01', '2']], { seq: 5 }),
          book(
            symbol,
            'delta',
            [
              ['1.00', '0'],
              ['0.99', '7'],
            ],
            [],
            { seq: 6, prevSeq: 5 },
          ),
          trade(symbol, '1.01', '0.125', { tradeId: 77, seq: 1 }),
          book(symbol, 'delta', [], [['1.01', '1.875']], { seq: 8, prevSeq: 6 }),
        ),
      );
    }
    const rest = await linesOf(child, 16);
    child.kill('SIGINT');
    await child.exited;
    const path = scratch.write(`${[...first, ...rest].join('\n')}\n`, '.ndjson');
    const data = scratch.fresh();
    const replayed = await tapedeck(['replay', path, '--data', data]);
    expect(replayed).toMatchObject({ code: 0, stderr: '' });
    const again = await ServerProcess.start({ data });
    for (const symbol of symbols) {
      const [was, is] = await Promise.all(
        [server, again].map((s) => s.json(`/v1/orderbook/${symbol}`)),
      );
      expect([is!['bids'], is!['asks']]).toEqual([was!['bids'], was!['asks']]);
      expect(await again.json(`/v1/tick/${symbol}`)).toMatchObject({
        last: '1.01',
        volume: '0.125',
      });
    }
    await again.remove();
  });

  test('also that of venues, whose market becomes a feed in the replay', async () => {
    const demo = await ServerProcess.start({ args: ['--demo', '--rate', '2000'] });
    const topics = ['tick:*', 'trade:*', 'bbo:*', 'book:*', 'status'];
    const child = spawnTapedeck(['tail', '--json', ...topics, '--url', demo.url]);
    const lines = await linesOf(child, 1_000);
    child.kill('SIGINT');
    await child.exited;
    await demo.remove();
    // The last line may be cut.
    const path = scratch.write(`${lines.slice(0, -1).join('\n')}\n`, '.ndjson');
    const replayed = await tapedeck(['replay', path, '--data', scratch.fresh()]);
    expect(replayed).toMatchObject({ code: 0, stderr: '' });
    expect(replayed.stdout).toContain(' 0 refused');
  });

  test('ends without an error when its output is closed', async () => {
    const args = ['tail', 'trade:*', '--url', server.url];
    const command = `"$@" | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const shell = Bun.spawn(['bash', '-c', command, 'bash', ...PROGRAM, ...args], {
      stdout: 'pipe',
      stderr: 'pipe',
      timeout: 10_000,
    });
    const timer = setInterval(() => void server.ingest(tape(trade('ACME', '1.00', '1'))), 50);
    const out = await new Response(shell.stdout).text();
    clearInterval(timer);
    expect(out.trimEnd().split('\n')).toEqual([expect.stringContaining('instrument ACME'), '0']);
    expect(await new Response(shell.stderr).text()).toBe('');
  });

  test.each([
    [
      ['bar:ACME:2m'],
      'the topic is "bar:ACME:2m": its interval is "2m"; expected 1s, 1m, 5m, 1h or 1d',
    ],
    [['trade:ACME', 'trades:X'], `expected ${listed(CHANNELS)}; the nearest is trade`],
    [['trade'], 'expected trade:SYMBOL, or * as the symbol for all of them'],
    [['trade:A B'], 'its symbol is "A B"'],
  ])('%j is no topic, and no server is asked', async (topics, words) => {
    const { code, stderr } = await tapedeck(['tail', ...topics, '--url', 'http://127.0.0.1:1']);
    expect(code).toBe(64);
    expect(stderr).toContain(words);
    expect(stderr).toContain('(unknown-topic) [bad-usage]');
  });

  test.each([
    [['book', 'ACNE']],
    [['tail', 'trade:EMPTY', 'book:ACNE']],
    [['tail', 'bar:acne:1m']],
  ])('%j: an unknown symbol is named, with the nearest', async (args) => {
    const { code, stderr } = await tapedeck([...args, '--url', server.url]);
    expect(code).toBe(77);
    expect(stderr).toMatch(
      /^tapedeck: no instrument is named (ACNE|acne) \(unknown-symbol\) \[refused\]\n/,
    );
    expect(stderr).toMatch(/\n {2}The nearest is ACME\. It has ACME, EMPTY/);
  });

  test('without instruments no similar symbol is suggested', async () => {
    const bare = await ServerProcess.start();
    const { stderr } = await tapedeck(['tail', 'trade:ACME', '--url', bare.url]);
    expect(stderr).toContain('The server has no instrument yet.');
    await bare.remove();
  });

  test('says so when the server ends', async () => {
    const short = await ServerProcess.start();
    await short.ingest(tape(instrument('ACME')));
    const child = spawnTapedeck(['tail', 'trade:ACME', '--url', short.url]);
    await linesOf(child, 1);
    await short.stop('SIGTERM');
    expect(await child.exited).toBe(69);
    expect(await new Response(child.stderr).text()).toContain(
      'the connection ended with 1001 going-away',
    );
    await short.remove();
  });

  test('reading does not need the key of a publisher', () => {
    expect(PUBLISH_KEY.length).toBeGreaterThan(15);
  });
});
