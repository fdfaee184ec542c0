/** The sample reader of section 12, tested with each golden frame that it knows, and with a real server. */

import { expect, test } from 'bun:test';
import { join } from 'node:path';

import { readGoldenFrames } from '../support/golden';
import { PYTHON } from '../support/python';
import { ServerProcess } from '../support/tapedeck-process';

const SAMPLE = join(import.meta.dir, '../../protocol/sample-reader.py');
const KINDS = new Set(['tick', 'trade', 'bbo', 'book', 'bar', 'stats', 'status']);
const DECODE = `
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("reader", sys.argv[1])
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)
for line in sys.stdin:
    frame = json.loads(line)
    scales = {symbol: (s["priceScale"], s["quantityScale"]) for symbol, s in frame["scales"].items()}
    known = [m for m in reader.decode(bytes.fromhex(frame["hex"])) if "prevSeq" in m]
    print(json.dumps([reader.as_json(m, scales[m["symbol"]]) for m in known]))
`;

test.skipIf(PYTHON === undefined)(
  '[W4] [N7] the sample reader decodes the golden frames of topics to their JSON form',
  async () => {
    const frames = readGoldenFrames().filter(({ messages }) =>
      messages.some(({ type }) => KINDS.has(type as string)),
    );
    const child = Bun.spawn([PYTHON!, '-c', DECODE, SAMPLE], { stdin: 'pipe', stdout: 'pipe' });
    for (const { hex, scales } of frames)
      void child.stdin.write(`${JSON.stringify({ hex, scales })}\n`);
    await child.stdin.end();
    const decoded = (await new Response(child.stdout).text()).trim().split('\n');
    const wanted = frames.map(({ messages }) =>
      messages.filter(({ type }) => KINDS.has(type as string)),
    );
    expect(frames.length).toBeGreaterThan(8);
    expect(decoded.map((line) => JSON.parse(line) as unknown)).toEqual(wanted);
  },
);

test.skipIf(PYTHON === undefined)(
  '[R2] [R7] [R8] the sample reader resumes after a kill of the server',
  async () => {
    const args = ['--demo', '--rate', '50'];
    const first = await ServerProcess.start({ args });
    let second: ServerProcess | undefined;
    const { port } = new URL(first.url);
    const url = `ws://127.0.0.1:${port}/v1/stream`;
    const topics = 'trade:*,book:*,bar:*:1s,stats:*,status';
    const child = Bun.spawn([PYTHON!, SAMPLE, '--url', url, '--topics', topics], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'pipe',
    });
    try {
      const lines = linesOf(child.stdout);
      await lines.until(({ kind }) => kind === 'subscribed');
      await lines.until(({ message }) => message?.type === 'trade');
      await first.stop('SIGKILL');
      second = await ServerProcess.start({ data: first.data, args: [...args, '--port', port] });
      const { seq } = await lines.until(({ kind }) => kind === 'connected');
      void child.stdin.write(`finish ${seq! + 10}\n`);
      await child.stdin.flush();
      await lines.until(({ kind }) => kind === 'finished');
      expect(await child.exited).toBe(0);
      const resets = lines.all.filter(({ kind }) => kind === 'reset');
      expect(resets).toEqual([]);
    } finally {
      child.kill();
      await second?.remove();
      await first.remove();
    }
  },
);

interface Line {
  readonly kind: string;
  readonly seq?: number;
  readonly message?: { readonly type: string };
}

/** The lines that a process writes. */
function linesOf(stream: ReadableStream<Uint8Array>): {
  readonly all: Line[];
  until(wanted: (line: Line) => boolean): Promise<Line>;
} {
  const all: Line[] = [];
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let rest = '';
  const waiting: Line[] = [];
  return {
    all,
    async until(wanted) {
      for (;;) {
        for (let line = waiting.shift(); line !== undefined; line = waiting.shift()) {
          if (wanted(line)) return line;
        }
        const { value, done } = await reader.read();
        if (done) throw new Error('the reader ended early');
        const parts = (rest + decoder.decode(value, { stream: true })).split('\n');
        rest = parts.pop()!;
        const lines = parts.map((part) => JSON.parse(part) as Line);
        all.push(...lines);
        waiting.push(...lines);
      }
    },
  };
}
