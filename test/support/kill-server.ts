/**
 * One epoch of a server: started on what the epochs before it left, put under load, and killed. What its clients
 * saw is kept for the checks.
 */

import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, type Subprotocol } from '../../protocol/codec';
import { Prng } from '../../src/base/prng';
import type { Durability } from '../../src/journal/journal';
import { Publisher, Trader, VENUES, type Outside } from './kill-load';
import type { Json } from './kill-rows';
import { StreamClient, type Seen } from './stream-client';
import {
  PUBLISH_KEY,
  ServerProcess,
  spawnTapedeck,
  testKey,
  TRADE_KEY,
  type Scratch,
} from './tapedeck-process';

const RIVAL_KEY = testKey('rival');
const TOPICS = ['tick:*', 'trade:*', 'bbo:*', 'book:*', 'status'];

const venue = (symbol: string): string => `
[[instruments]]
symbol = "${symbol}"
priceScale = 2
quantityScale = 3
priceMin = "1.00"
priceMax = "500.00"
ordersPerOwnerMax = 150
`;

/** Few orders are kept after their ends, because each checkpoint holds them all. */
export const CONFIG = `
[journal]
checkpointEveryEvents = 1000
commitEveryMs = 200
[push]
heartbeatMs = 100
[limits]
endedOrdersMax = 2000
${VENUES.map(venue).join('')}`;

/** A reader of all topics: the state that it was sent, and everything after it. */
export interface Subscribed {
  readonly form: Subprotocol;
  readonly client: StreamClient;
  readonly welcome: Seen;
  readonly state: readonly Seen[];
  readonly ackSeq: number;
  /** The index in `client.seen` at which live messages begin. */
  readonly liveFrom: number;
}

export interface LoadedServer {
  readonly number: number;
  readonly durability: Durability;
  readonly epoch: number;
  readonly server: ServerProcess;
  readonly readers: Subscribed[];
  readonly traders: readonly Trader[];
  readonly publisher: Publisher;
}

export interface LoadOptions {
  readonly number: number;
  readonly data: string;
  readonly durability: Durability;
  readonly outside: Outside;
  readonly random: Prng;
}

/** Starts a server and connects all clients; the only request so far is for the state of the first reader. */
export async function begin({
  number,
  data,
  durability,
  outside,
  random,
}: LoadOptions): Promise<LoadedServer> {
  const server = await ServerProcess.start({
    config: CONFIG,
    keys: [{ name: 'rival', roles: ['trade'] }],
    data,
    args: ['--durability', durability],
  });
  const { url } = server;
  const trader = async (owner: string, key: string): Promise<Trader> =>
    new Trader(owner, await keyed(url, key), own(random), number);
  const reader = await subscribe(url, pick(random));
  return {
    number,
    durability,
    epoch: reader.welcome['epoch'] as number,
    server,
    readers: [reader],
    traders: [await trader('trader', TRADE_KEY), await trader('rival', RIVAL_KEY)],
    publisher: new Publisher(await keyed(url, PUBLISH_KEY), outside, own(random)),
  };
}

/** Puts the server under load, connects another reader meanwhile, and kills the server. */
export async function loadAndKill(loaded: LoadedServer, random: Prng): Promise<{ loadMs: number }> {
  const { server, readers, traders, publisher } = loaded;
  const loadMs = random.int(150, 900);
  const lateMs = random.int(0, 120);
  let isKilled = false;
  const killed = Bun.sleep(loadMs).then(() => {
    isKilled = true;
    return server.stop('SIGKILL');
  });
  const form = readers[0]!.form === SUBPROTOCOL_JSON ? SUBPROTOCOL_MSGPACK : SUBPROTOCOL_JSON;
  const load = [...traders.map((trader) => trader.run()), publisher.run()];
  await Bun.sleep(lateMs);
  await subscribe(server.url, form).then(
    (reader) => readers.push(reader),
    (e: unknown) => {
      if (!isKilled) throw e; // otherwise it connected too late
    },
  );
  const { code } = await killed;
  if (code !== 137) throw new Error(`the server had ended by itself, with ${code}`);
  await Promise.all(load);
  await Promise.all(clientsOf(loaded).map((client) => client.closed));
  await server.remove();
  return { loadMs };
}

export function clientsOf({ readers, traders, publisher }: LoadedServer): StreamClient[] {
  return [...readers, ...traders, publisher].map(({ client }) => client);
}

/** Kills a server during its start, before or just when a client connects. */
export async function killEarly(
  data: string,
  durability: Durability,
  scratch: Scratch,
  random: Prng,
): Promise<void> {
  const config = scratch.write(`${CONFIG}\n[log]\nlevel = "warn"\n`, '.toml');
  const args = ['serve', '--port', '0', '--data', data, '--config', config];
  const child = spawnTapedeck([...args, '--durability', durability]);
  await Bun.sleep(random.int(150, 900));
  child.kill('SIGKILL');
  await child.exited;
  if (child.signalCode !== 'SIGKILL') {
    throw new Error(`a start ended by itself: ${await new Response(child.stderr).text()}`);
  }
}

async function keyed(url: string, key: string): Promise<StreamClient> {
  return StreamClient.open(url, SUBPROTOCOL_MSGPACK, { authorization: `Bearer ${key}` });
}

async function subscribe(url: string, form: Subprotocol): Promise<Subscribed> {
  const client = await StreamClient.open(url, form);
  const welcome = await client.next('welcome');
  const from = client.seen.length;
  client.send({ type: 'subscribe', id: 1, topics: TOPICS, intervalMs: null });
  const ack = await client.find(
    (m) => m['id'] === 1 && (m.type === 'ack' || m.type === 'error'),
    from,
  );
  if (ack.type === 'error') throw new Error(`not subscribed: ${JSON.stringify(ack)}`);
  const liveFrom = client.seen.indexOf(ack) + 1;
  const state = client.seen.slice(from, liveFrom - 1);
  return { form, client, welcome, state, ackSeq: ack['seq'] as number, liveFrom };
}

function pick(random: Prng): Subprotocol {
  return random.chance(0.5) ? SUBPROTOCOL_JSON : SUBPROTOCOL_MSGPACK;
}

/** A generator of its own for a client that draws at times that no seed determines. */
function own(random: Prng): Prng {
  return new Prng(random.uint32());
}

/** What REST returns for the market of an idle server. */
export async function askAll(
  server: ServerProcess,
  symbols: readonly string[],
): Promise<Map<string, Json>> {
  const answers = new Map<string, Json>();
  const ask = async (path: string): Promise<void> => {
    answers.set(path, await server.json(`/v1/${path}`));
  };
  for (const s of symbols) {
    await Promise.all([
      ask(`orderbook/${s}`),
      ask(`tick/${s}`),
      ask(`trades/${s}`),
      ask(`stats/${s}`),
      ask(`bars/${s}?interval=1m`),
    ]);
  }
  return answers;
}
