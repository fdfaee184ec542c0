/**
 * Chaos traders, a process of its own: clients of the SDK that enter, change and cancel orders at the servers that they
 * are given, one request after the other, while these are killed. An operator cancels all orders now and then, and
 * defines instruments. Each writes down what it asked and what it was answered, for a checker that knows nothing of the
 * SDK.
 *
 * Arguments: a file, a number of traders, a seed, the trader's key, the operator's key, the servers. It ends when its
 * standard input does, with `end` in the file.
 */

import { createWriteStream } from 'node:fs';

import { Prng } from '../../src/base/prng';
import { TapedeckClient } from '../../src/client/client';
import { TapedeckError } from '../../src/client/errors';
import type { OrderAnswer } from '../../src/client/order-entry';
import type { TraderLine } from './chaos-orders';

const [, , path, count, seed, key, operatorKey, ...urls] = process.argv;
const file = createWriteStream(path!);
const SYMBOL = 'ACME';
const OWNER = 'trader';
const OPEN_MAX = 15;
const PAUSE_MS_MAX = 60;

const state = { isOver: false };
let numbers = 0;

function note(line: Omit<TraderLine, 'number'>, number = ++numbers): number {
  file.write(`${JSON.stringify({ number, ...line })}\n`);
  return number;
}

async function connected(random: Prng): Promise<TapedeckClient> {
  const first = random.int(0, urls.length - 1);
  const all = [...urls.slice(first), ...urls.slice(0, first)];
  for (;;) {
    try {
      const reconnect = { baseMs: 20, maxMs: 200 };
      return await TapedeckClient.connect(all, { key: key!, reconnect, timeoutMs: 2_000 });
    } catch {
      await Bun.sleep(50);
    }
  }
}

class Trader {
  private readonly random: Prng;
  private readonly name: string;
  private readonly open: number[] = [];
  private unknown: { clientOrderId: string; price: string } | undefined;
  private orders = 0;

  constructor(name: string, random: Prng) {
    this.name = name;
    this.random = random;
  }

  async run(): Promise<void> {
    const client = await connected(this.random);
    client.on('execution', ({ seq, orderId, event, symbol }) => {
      note({ what: 'execution', action: event, seq, orderId, symbol });
    });
    while (!state.isOver) {
      await this.act(client);
      await Bun.sleep(this.random.int(0, PAUSE_MS_MAX));
    }
    client.close();
  }

  private act(client: TapedeckClient): Promise<void> {
    const { random, open, unknown } = this;
    if (unknown !== undefined && random.chance(0.5)) {
      // A repetition of what may have been carried out.
      this.unknown = undefined;
      return this.submit(client, unknown.clientOrderId, unknown.price);
    }
    if (open.length > OPEN_MAX || (open.length > 0 && random.chance(0.25))) {
      const [orderId] = open.splice(random.int(0, open.length - 1), 1) as [number];
      return this.ask({ action: 'cancel', orderId }, () =>
        client.cancel({ symbol: SYMBOL, orderId }),
      );
    }
    if (open.length > 0 && random.chance(0.15)) {
      const orderId = open[random.int(0, open.length - 1)]!;
      const quantity = String(random.int(1, 9));
      return this.ask({ action: 'amend', orderId, quantity }, () =>
        client.amend({ symbol: SYMBOL, orderId, quantity }),
      );
    }
    if (random.chance(0.2)) {
      return this.ask({ action: 'submit', quantity: '1' }, () =>
        client.order({ symbol: SYMBOL, side: 'buy', quantity: '1' }),
      );
    }
    this.orders += 1;
    return this.submit(client, `${this.name}-${this.orders}`, `${random.int(100, 900) / 100}`);
  }

  /** A limit order far below the market. */
  private submit(client: TapedeckClient, clientOrderId: string, price: string): Promise<void> {
    return this.ask({ action: 'submit', clientOrderId, price, quantity: '2' }, async () => {
      const request = { symbol: SYMBOL, side: 'buy', quantity: '2', price, clientOrderId } as const;
      try {
        const answer = await client.order(request);
        if (answer.orderId !== undefined) this.open.push(answer.orderId);
        return answer;
      } catch (e) {
        if (isUnknown(codeOf(e))) this.unknown = { clientOrderId, price };
        throw e;
      }
    });
  }

  private async ask(
    what: Omit<TraderLine, 'number' | 'what'>,
    act: () => Promise<OrderAnswer>,
  ): Promise<void> {
    const number = note({ what: 'ask', ...what });
    try {
      const { seq, orderId, clientOrderId } = await act();
      note({ what: 'done', seq, orderId, clientOrderId }, number);
    } catch (e) {
      note({ what: 'refused', code: codeOf(e) }, number);
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof TapedeckError ? error.code : String(error);
}

/** Whether a request with this end may have been carried out. */
function isUnknown(code: string): boolean {
  return code === 'unknown-outcome' || code === 'connection-failed' || code === 'closed';
}

/** Defines instruments, and cancels all orders of the traders. */
async function operate(random: Prng): Promise<void> {
  for (let i = 0; !state.isOver; i++) {
    await Bun.sleep(random.int(200, 900));
    const url = urls[random.int(0, urls.length - 1)]!;
    const symbol = `NEW${i}`;
    const [action, method, route, body] = random.chance(0.5)
      ? ['define', 'POST', 'instruments', definition(symbol)]
      : ['cancelAll', 'DELETE', `owners/${OWNER}/orders`, undefined];
    const number = note({ what: 'ask', action, symbol });
    try {
      const headers = {
        'authorization': `Bearer ${operatorKey}`,
        'content-type': 'application/json',
      };
      const init = { method, headers, signal: AbortSignal.timeout(20_000), ...(body && { body }) };
      const answer = await fetch(`${url}/v1/admin/${route}`, init);
      const said = (await answer.json()) as { error?: { code: string }; seq?: number | null };
      if (answer.ok) note({ what: 'done', seq: said.seq ?? undefined }, number);
      else note({ what: 'refused', code: said.error?.code ?? String(answer.status) }, number);
    } catch {
      note({ what: 'refused', code: 'connection-failed' }, number);
    }
  }
}

function definition(symbol: string): string {
  return JSON.stringify({ symbol, market: 'feed', priceScale: 2, quantityScale: 0 });
}

const random = new Prng(Number(seed));
const all = Array.from({ length: Number(count) }, (_, i) =>
  new Trader(`t${i}`, new Prng(random.uint32())).run(),
);
all.push(operate(new Prng(random.uint32())));
await new Response(Bun.stdin.stream()).text();
state.isOver = true;
await Promise.race([Promise.all(all), Bun.sleep(20_000)]);
file.end('end\n', () => process.exit(0));
