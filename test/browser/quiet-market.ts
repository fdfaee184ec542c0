/** A venue where nothing happens except by the test, so that page and REST can be compared. */

import { ServerProcess, testKey, TRADE_KEY, type ServerOptions } from '../support/tapedeck-process';

/** Takes the other side of orders of the page, and makes the REST requests to compare with. */
const MAKER_KEY = testKey('maker');

const CONFIG = `
[[instruments]]
symbol = "ACME"
priceScale = 2
quantityScale = 1
previousClose = "100.00"
[[instruments]]
symbol = "ZINC"
priceScale = 0
quantityScale = 0
`;

export interface RestBook {
  readonly seq: number;
  readonly eventTime: string;
  readonly bids: [string, string][];
  readonly asks: [string, string][];
}

export class QuietMarket {
  readonly server: ServerProcess;
  private readonly options: ServerOptions;

  private constructor(server: ServerProcess, options: ServerOptions) {
    this.server = server;
    this.options = options;
  }

  static async start(options: ServerOptions = {}): Promise<QuietMarket> {
    const server = await ServerProcess.start({
      ...options,
      config: CONFIG + (options.config ?? ''),
      keys: [{ name: 'maker', roles: ['read', 'trade'] }, ...(options.keys ?? [])],
    });
    return new QuietMarket(server, options);
  }

  /** Restarts on the same journal at the same address, as after a crash. @param changes of its start options */
  async restart(changes: ServerOptions = {}): Promise<QuietMarket> {
    const { url, data } = this.server;
    await this.server.stop('SIGKILL');
    const args = ['--port', new URL(url).port];
    return QuietMarket.start({ ...this.options, ...changes, data, args });
  }

  /** @param key whose order it is; two of one owner do not trade with each other */
  async order(
    side: 'buy' | 'sell',
    price: string,
    quantity: string,
    key = MAKER_KEY,
  ): Promise<void> {
    const response = await this.server.get('/v1/orders', {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: JSON.stringify({ symbol: 'ACME', side, price, quantity }),
    });
    if (response.status !== 201) throw new Error(await response.text());
  }

  async book(at?: string): Promise<RestBook> {
    const query = at === undefined ? '' : `?at=${encodeURIComponent(at)}`;
    return (await this.json(`/v1/orderbook/ACME${query}`)) as RestBook;
  }

  async json(path: string): Promise<unknown> {
    const headers = { authorization: `Bearer ${MAKER_KEY}` };
    return (await this.server.get(path, { headers })).json();
  }

  /** Adds some levels on each side. */
  async fill(): Promise<void> {
    for (let i = 1; i <= 12; i++) {
      await this.order('buy', (100 - i / 10).toFixed(2), `${i * 3}.5`);
      await this.order('sell', (100 + i / 10).toFixed(2), `${i * 2}.0`);
    }
  }
}

export { TRADE_KEY };
