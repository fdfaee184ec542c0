/**
 * REST fuzz: random requests against real servers, one that anybody may read and one that needs a key; each answer
 * is checked against the document of the server.
 *
 * By hand: `bun test/attack/rest-fuzz.ts --cases 100000 [--seed N]`; it prints each kind of fault with one request
 * that causes it, and ends with 1 when there is one.
 */

import fc from 'fast-check';

import { instrument, tape, trade } from '../support/feed';
import { readSeed } from '../support/seed';
import { StreamClient } from '../support/stream-client';
import { ServerProcess, tapedeck } from '../support/tapedeck-process';
import { RawHttp } from './raw-http';
import { restCases, type RestCase } from './rest-cases';
import { RestDocument } from './rest-document';

const ROLES = ['read', 'publish', 'trade', 'admin'] as const;
const VENUE = '[[instruments]]\nsymbol = "DESK"\npriceScale = 2\nquantityScale = 3\n';
/** Drawn at a time. */
const CHUNK = 2_000;
const CONNECTIONS = 8;

export interface FuzzOutcome {
  readonly requests: number;
  /** By status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Each kind of fault, how often it occurred, and one request that causes it. */
  readonly faults: Readonly<Record<string, { count: number; readonly example: string }>>;
}

export async function fuzzRest(cases: number, seed: number): Promise<FuzzOutcome> {
  const keys = [{ name: 'all', roles: ROLES }];
  const servers = [
    await ServerProcess.start({ config: VENUE, keys, timeoutMs: 3_600_000 }),
    await ServerProcess.start({
      config: `[auth]\nrequireKey = true\n[limits]\nhelloMs = 600000\n${VENUE}`,
      keys,
      timeoutMs: 3_600_000,
    }),
  ];
  const statuses: Record<string, number> = {};
  const faults: Record<string, { count: number; readonly example: string }> = {};
  const note = (what: string, example: string): void => {
    (faults[what] ??= { count: 0, example }).count += 1;
  };
  const sessions: StreamClient[] = [];
  try {
    for (const server of servers)
      await server.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')));
    for (const { url } of servers)
      for (let i = 0; i < 3; i++) sessions.push(await StreamClient.open(url));
    const document = new RestDocument(await servers[0]!.json('/openapi.json'));
    for (let done = 0; done < cases; done += CHUNK) {
      const count = Math.min(CHUNK, cases - done);
      const drawn = fc.sample(restCases(document.operations), {
        numRuns: count,
        seed: seed + done,
      });
      const next = drawn.entries();
      await Promise.all(
        Array.from({ length: CONNECTIONS }, async (_, i) => {
          const http = new RawHttp(servers[i % 2]!.url);
          for (const [, one] of next) await tryCase(http, document, one, statuses, note);
          http.close();
        }),
      );
    }
    for (const server of servers) await judgeEnd(server, note);
  } finally {
    for (const server of servers) await server.remove();
  }
  return { requests: cases, statuses, faults };
}

async function tryCase(
  http: RawHttp,
  document: RestDocument,
  one: RestCase,
  statuses: Record<string, number>,
  note: (what: string, example: string) => void,
): Promise<void> {
  const answer = await http.ask(textOf(one), one.method === 'HEAD');
  const title = `${one.operation.method} ${one.operation.path}`;
  const example = `${one.method} ${one.target} ${one.headers.join(' | ')} ${one.body ?? ''}`.slice(
    0,
    300,
  );
  statuses[answer?.status ?? 'closed'] = (statuses[answer?.status ?? 'closed'] ?? 0) + 1;
  if (answer === undefined) {
    note(`${title}: closed without an answer`, example);
    return;
  }
  for (const wrong of document.faults(one.method, one.target, answer)) {
    note(`${title}: ${wrong.replaceAll(/\d{4,}/g, 'N')}`.slice(0, 160), example);
  }
}

function textOf({ method, target, headers, body }: RestCase): Buffer {
  const bytes = Buffer.from(body ?? '');
  const length = body === null ? [] : [`Content-Length: ${bytes.length}`];
  const head = [`${method} ${target} HTTP/1.1`, 'Host: 127.0.0.1', ...headers, ...length];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]);
}

/** The server still runs, logged no defect, ends in order, and its journal is sound. */
async function judgeEnd(
  server: ServerProcess,
  note: (what: string, example: string) => void,
): Promise<void> {
  if ((await server.get('/healthz')).status !== 200) note('it is not alive', '');
  const { code, stderr } = await server.stop();
  if (code !== 0) note(`it ended with ${code}`, stderr.slice(-500));
  if (stderr.includes('a request failed')) note('it logged a defect', stderr.slice(0, 800));
  const verified = await tapedeck(['verify', '--data', server.data]);
  if (verified.code !== 0) note('its journal is not sound', verified.stdout + verified.stderr);
}

if (import.meta.main) {
  const given = (name: string): string | undefined => Bun.argv[Bun.argv.indexOf(name) + 1];
  const cases = Number(Bun.argv.includes('--cases') ? given('--cases') : 10_000);
  const seed = Bun.argv.includes('--seed') ? Number(given('--seed')) : readSeed();
  console.log(`seed ${seed}`);
  const { statuses, faults } = await fuzzRest(cases, seed);
  console.log(JSON.stringify({ cases, statuses }));
  for (const [what, { count, example }] of Object.entries(faults))
    console.log(`${count} × ${what}\n    ${example}`);
  process.exit(Object.keys(faults).length === 0 ? 0 : 1);
}
