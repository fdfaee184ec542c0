/** The ways to import recordings: pipes, compressed files, several at once, to a running server. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import { exported } from '../support/imported';
import { book, instrument, tape, trade } from '../support/feed';
import { PROGRAM_IN_SHELL } from '../support/program';
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
  server = await ServerProcess.start({
    config:
      '[[instruments]]\nsymbol = "OWN"\nmarket = "feed"\npriceScale = 2\nquantityScale = 3\npriceIncrement = "0.01"\nquantityIncrement = "0.001"\n',
  });
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

type Json = Record<string, unknown>;

const numbered = (symbol: string, n: number, price = '1.00'): Json =>
  trade(symbol, price, '1.000', {
    seq: n,
    prevSeq: n - 1,
    tradeId: n,
    eventTime: `${1_700_000_000_000_000_000n + BigInt(n) * 1_000_000n}`,
  });
const pricesOf = async (symbol: string): Promise<unknown[]> => {
  const { trades } = (await server.json(`/v1/trades/${symbol}?limit=1000`)) as { trades: Json[] };
  return trades.map(({ price }) => price).reverse();
};
const online = (file: string, ...more: string[]) =>
  tapedeck(['import', file, '--to', server.url, '--key', PUBLISH_KEY, ...more]);

describe('from a pipe', () => {
  const text = tape(instrument('PIPE'), numbered('PIPE', 1), numbered('PIPE', 2));

  test.each<[string, (file: string, call: string) => string]>([
    ['standard input as -', (file, call) => `zcat ${file} | ${call} -`],
    ['compressed', (file, call) => `cat ${file} | ${call} -`],
    ['/dev/stdin', (file, call) => `zcat ${file} | ${call} /dev/stdin`],
    ['a process', (file, call) => `${call} <(zcat ${file})`],
    ['a redirected file', (file, call) => `${call} - < ${file}`],
  ])('%s', async (_, command) => {
    const data = scratch.fresh();
    const file = scratch.write(gzipSync(text), '.gz');
    const call = `${PROGRAM_IN_SHELL} import --json --data ${data}`;
    const child = Bun.spawn(['bash', '-c', command(file, call)], {
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    expect([child.exitCode, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({ lines: 3, taken: 3, refused: 0, stopped: null });
    expect(exported(data, 'trade', 'PIPE')).toHaveLength(3);
  });

  test('what is no recording is refused there too', async () => {
    const child = Bun.spawn(
      ['bash', '-c', `echo hello | ${PROGRAM_IN_SHELL} import - --data ${scratch.fresh()}`],
      { stdout: 'ignore', stderr: 'pipe' },
    );
    expect(await new Response(child.stderr).text()).toContain('[not-a-recording]');
    await child.exited;
    expect(child.exitCode).toBe(65);
  });
});

test('zstd, and gzip with padding after it, which is reported', async () => {
  const text = tape(instrument('ZIP'), numbered('ZIP', 1));
  const zstd = scratch.write(zstdCompressSync(text), '.zst');
  const data = scratch.fresh();
  expect(await tapedeck(['import', zstd, '--data', data])).toMatchObject({ code: 0, stderr: '' });
  const padded = scratch.write(Buffer.concat([gzipSync(text), Buffer.alloc(512)]), '.gz');
  const { code, stdout, stderr } = await tapedeck(['import', padded, '--data', data]);
  expect([code, stderr]).toEqual([
    0,
    `${padded}: 512 zero bytes follow the gzip data; they were passed over\n`,
  ]);
  expect(stdout).toStartWith('2 lines: 1 taken, 1 repeated, ');
});

test('the summary of an import that stops is one JSON object too', async () => {
  const file = scratch.write(`${tape(instrument('JSN'), numbered('JSN', 1))}{"type":"trade"}\n`);
  const { code, stdout } = await tapedeck(['import', file, '--json', '--data', scratch.fresh()]);
  expect(code).toBe(65);
  expect(JSON.parse(stdout)).toMatchObject({
    lines: 3,
    taken: 2,
    refused: 1,
    refusedBy: { 'invalid-field': 1 },
    stopped: { code: 'invalid-field' },
  });
});

describe('into a server', () => {
  test('imports nothing after a fault that stops it, and the corrected file brings the rest', async () => {
    const lines = Array.from({ length: 2_500 }, (_, i) => numbered('HALT', i + 1, `${i + 1}.00`));
    const whole = tape(instrument('HALT', { priceIncrement: '0.25' }), ...lines);
    const stopped = await online(scratch.write(whole.replace('"1300.00"', '"1300.01"')));
    expect(stopped.code).toBe(65);
    expect(stopped.stdout).toStartWith('1301 lines: 1300 taken, 0 repeated, ');
    expect(await pricesOf('HALT')).toHaveLength(1_000); // the newest page
    expect((await pricesOf('HALT')).at(-1)).toBe('1299.00');
    const mended = await online(scratch.write(whole));
    expect(mended).toMatchObject({ code: 0 });
    expect(mended.stdout).toStartWith('2501 lines: 1202 taken, 1299 repeated, ');
    expect((await pricesOf('HALT')).at(-1)).toBe('2500.00');
    const again = await online(scratch.write(whole), '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({ taken: 1, repeated: 2_500 });
  });

  test('another day, whose numbers begin again, is accepted', async () => {
    const day = (from: number, price: string): string =>
      scratch.write(
        tape(
          instrument('NEWDAY'),
          numbered('NEWDAY', from, price),
          numbered('NEWDAY', from + 1, price),
        ),
      ); // one of two trades
    for (const [from, price] of [
      [2_000, '2.00'],
      [1_000, '1.00'],
      [5, '3.00'],
    ] as const) {
      expect((await online(day(from, price))).stdout).toStartWith('3 lines: 3 taken, ');
    }
    expect(await pricesOf('NEWDAY')).toEqual(['2.00', '2.00', '1.00', '1.00', '3.00', '3.00']);
  });

  test('a tape whose instruments only the server defines, and one with other decimals', async () => {
    const bare = scratch.write(
      tape(
        numbered('OWN', 1, '1.25'),
        book('OWN', 'snapshot', [['1.00', '1']], [['2.00', '1']], { seq: 3 }),
      ),
    ); // no definition
    const { code, stdout, stderr } = await online(bare);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toStartWith('2 lines: 2 taken, ');
    const finer = scratch.write(
      tape(
        instrument('OWN', { priceScale: 4, priceIncrement: '0.0001' }),
        trade('OWN', '1.2501', '1'),
        trade('OWN', '1.5000', '1'),
      ),
    ); // one does not fit the decimals
    const refused = await online(finer, '--on-fault', 'skip');
    expect(refused.stderr).toContain('price is "1.2501"; expected no more than 2 decimals');
    expect(refused.stdout).toStartWith(
      '3 lines: 2 taken, 0 repeated, 0 waiting, 0 skipped, 1 refused',
    );
    expect(await pricesOf('OWN')).toEqual(['1.25', '1.50']);
  });

  test('the output of `tail` can be imported unchanged', async () => {
    await online(
      scratch.write(
        tape(
          instrument('LIVE'),
          book('LIVE', 'snapshot', [['1.00', '5']], [['1.02', '5']], { seq: 10 }),
        ),
      ),
    );
    const tail = spawnTapedeck([
      'tail',
      '--json',
      '--url',
      server.url,
      'trade:LIVE',
      'book:LIVE',
      'bbo:LIVE',
    ]);
    const reader = tail.stdout.getReader();
    let text = '';
    const readTo = async (words: string): Promise<void> => {
      while (!text.includes(words)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`tail ended: ${text}`);
        text += new TextDecoder().decode(value);
      }
    };
    await readTo('"type":"bbo"');
    const quote = {
      type: 'bbo',
      symbol: 'LIVE',
      seq: 12,
      eventTime: '1700000000200000000',
      bid: '1.01',
      bidQuantity: '5',
      ask: '1.02',
      askQuantity: '5',
    };
    await online(
      scratch.write(
        tape(
          instrument('LIVE'),
          quote,
          book('LIVE', 'delta', [['0.99', '5']], [], { seq: 11, prevSeq: 10 }),
          trade('LIVE', '1.01', '1'),
        ),
      ),
      '--continue',
    );
    await readTo('"type":"trade"');
    tail.kill();
    await tail.exited;
    const sent = text
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map((line) => JSON.parse(line) as Json);
    const data = scratch.fresh();
    expect(
      await tapedeck([
        'import',
        scratch.write(text.slice(0, text.lastIndexOf('\n') + 1)),
        '--data',
        data,
      ]),
    ).toMatchObject({ code: 0, stderr: '' });
    // Marks say that a source has disconnected, and hold only for their time.
    const saysNothing = ({ bids, asks }: Json): boolean =>
      `${bids as string}${asks as string}` === '';
    const withoutSeqs = (line: Json): Json => ({
      ...line,
      seq: 0,
      prevSeq: 0,
      crc: null,
      mark: null,
    });
    for (const kind of ['trade', 'bbo', 'book'] as const) {
      const of = (lines: Json[]): Json[] =>
        lines.filter((one) => one['type'] === kind && !saysNothing(one)).map(withoutSeqs);
      expect([kind, of(exported(data, kind, 'LIVE'))]).toEqual([kind, of(sent)]);
    }
  });
});
