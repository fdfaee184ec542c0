/**
 * Own orders: entering and cancelling, with the client of the page where trading needs no key, else
 * with one of its own that presents the key. The key is kept for this tab (`sessionStorage`) and goes
 * only into the connection and the header of a request. Bounded: open orders, as the server bounds them.
 */

import {
  fetchOrders,
  parseDecimal,
  TapedeckClient,
  TapedeckError,
  type Execution,
  type Instrument,
  type OrderRequest,
  type RestOrder,
} from '../../client/index';

export interface OwnOrder {
  readonly orderId: number;
  readonly symbol: string;
  readonly side: 'buy' | 'sell';
  /** Scaled; null of a market order. */
  price: number | null;
  open: number;
}

/** `open`: trading needs no key. `none`: a key is wanted. */
export type Access = 'open' | 'none' | 'proving' | 'key';

/** What own orders need of the page. */
export interface OwnOrdersHost {
  readonly url: string;
  client(): TapedeckClient | undefined;
  definition(symbol: string): Instrument | undefined;
  changed(): void;
}

const KEY = 'tapedeck.key';

export class OwnOrders {
  readonly orders = new Map<number, OwnOrder>();
  access: Access;
  private readonly host: OwnOrdersHost;
  private own: TapedeckClient | undefined;
  private key: string | undefined;

  constructor(host: OwnOrdersHost, access: 'open' | 'none') {
    this.host = host;
    this.access = access;
  }

  /** There is a connection: what became of orders in between is asked. */
  async connected(): Promise<void> {
    if (this.access === 'open') await this.load();
    const kept = sessionStorage.getItem(KEY);
    if (this.access === 'none' && kept !== null)
      await this.present(kept).catch(() => this.forget());
  }

  /** Proves a key and keeps it. @throws TapedeckError such as `unauthorized` */
  async present(key: string): Promise<void> {
    this.access = 'proving';
    this.host.changed();
    try {
      const own = await TapedeckClient.connect(this.host.url, { client: 'tapedeck page', key });
      own.on('execution', (execution) => this.take(execution));
      own.on('connected', () => void this.load());
      own.on('closed', () => this.own === own && this.forget());
      this.own = own;
      this.key = key;
      await this.load();
      sessionStorage.setItem(KEY, key);
      this.access = 'key';
    } catch (e) {
      this.forget();
      throw e;
    } finally {
      this.host.changed();
    }
  }

  forget(): void {
    const { own } = this;
    this.own = undefined;
    this.key = undefined;
    own?.close();
    sessionStorage.removeItem(KEY);
    this.orders.clear();
    if (this.access !== 'open') this.access = 'none';
    this.host.changed();
  }

  /** @returns what came of it, in words @throws TapedeckError with the server's reason */
  async enter(request: OrderRequest, { quantityScale }: Instrument): Promise<string> {
    const { orderId, executions } = await this.trader().order(request);
    if (this.access !== 'open') for (const execution of executions) this.take(execution);
    const traded = executions.reduce((sum, { tradeQuantity }) => sum + (tradeQuantity ?? 0), 0);
    const wanted = parseDecimal(String(request.quantity), quantityScale);
    const order = orderId === undefined ? 'The order' : `Order ${orderId}`;
    if (traded === wanted) return `${order} is filled.`;
    const rests = executions.at(-1)?.open ?? 0;
    if (traded === 0)
      return rests > 0 ? `${order} rests in the book.` : `${order} met nobody and has left.`;
    return `${order} traded in part; ${rests > 0 ? 'the rest stands in the book.' : 'the rest has left.'}`;
  }

  async cancel({ orderId, symbol }: OwnOrder): Promise<void> {
    await this.trader().cancel({ orderId, symbol });
    this.orders.delete(orderId);
    this.host.changed();
  }

  /** Of a connection that may trade. */
  take({ orderId, symbol, side, price, open, event }: Execution): void {
    if (event === 'rejected') return;
    if (open === 0) this.orders.delete(orderId);
    else this.orders.set(orderId, { orderId, symbol, side, price, open });
    this.host.changed();
  }

  private trader(): TapedeckClient {
    const client = this.access === 'open' ? this.host.client() : this.own;
    if (client !== undefined) return client;
    throw new TapedeckError('connection-failed', 'there is no connection to trade over');
  }

  private async load(): Promise<void> {
    const orders = await fetchOrders(this.host.url, this.key);
    this.orders.clear();
    for (const order of orders) {
      const read = this.read(order);
      if (read !== undefined) this.orders.set(read.orderId, read);
    }
    this.host.changed();
  }

  private read({ orderId, symbol, side, price, open }: RestOrder): OwnOrder | undefined {
    const definition = this.host.definition(symbol);
    if (definition === undefined) return undefined;
    const left = parseDecimal(open, definition.quantityScale);
    const limit = price === null ? null : parseDecimal(price, definition.priceScale);
    if (typeof left !== 'number' || typeof limit === 'string') return undefined;
    return { orderId, symbol, side, price: limit, open: left };
  }
}
