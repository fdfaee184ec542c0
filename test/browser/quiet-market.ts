/** A venue where nothing happens but what a test does, so that page and REST can be held together. */

import { ServerProcess, testKey, TRADE_KEY, type ServerOptions } from '../support/tapedeck-process';

/** Who stands on the other side of the page's orders. */
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

  private constructor(server: ServerProcess) {
    this.server = server;
  }

  static async start(options: ServerOptions = {}): Promise<QuietMarket> {
    return new QuietMarket(
      await ServerProcess.start({
        ...options,
        config: CONFIG,
        keys: [{ name: 'maker', roles: ['trade'] }],
      }),
    );
  }

  /** The same journal at the same address, as after a crash. */
  async restart(): Promise<QuietMarket> {
    const { url, data } = this.server;
    await this.server.stop('SIGKILL');
    return QuietMarket.start({ data, args: ['--port', new URL(url).port] });
  }

  /** @param key whose order it is; two of one owner do not trade */
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
    const body: unknown = await this.server.json(`/v1/orderbook/ACME${query}`);
    return body as RestBook;
  }

  /** Some levels a side. */
  async fill(): Promise<void> {
    for (let i = 1; i <= 12; i++) {
      await this.order('buy', (100 - i / 10).toFixed(2), `${i * 3}.5`);
      await this.order('sell', (100 + i / 10).toFixed(2), `${i * 2}.0`);
    }
  }
}

export { TRADE_KEY };
