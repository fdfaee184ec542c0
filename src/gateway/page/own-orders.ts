/**
 * Own orders: enters and cancels orders. It uses the page's client if trading needs no key or the page's own
 * key may trade; otherwise it has a client of its own that presents a key. That key is stored for this tab
 * only, and is sent only in the connection and in the header of a request. Amounts are kept as decimals, so
 * an order can be displayed before the definition of its instrument arrives. Bounded: open orders, as the
 * server limits them.
 */

import {
  fetchOrders,
  formatDecimal,
  parseDecimal,
  TapedeckClient,
  TapedeckError,
  type Execution,
  type Instrument,
  type OrderRequest,
} from '../../client/index';
import { KEY_ENDS } from './live-stream';
import { TabKey } from './tab-key';

export interface OwnOrder {
  readonly orderId: number;
  readonly symbol: string;
  readonly side: 'buy' | 'sell';
  /** A decimal; null for a market order. */
  readonly price: string | null;
  /** A decimal. */
  readonly open: string;
}

/** `open`: trading needs no key. `none`: a key is required. */
export type Access = 'open' | 'none' | 'proving' | 'key';

/** What own orders need from the page. */
export interface OwnOrdersHost {
  readonly url: string;
  client(): TapedeckClient | undefined;
  /** The key with which the page reads, if reading needs one. */
  key(): string | undefined;
  changed(): void;
  /**
   * The key is no longer accepted, or the open orders could not be requested; `why` is a text for the user.
   */
  failed(why: string): void;
}

export class OwnOrders {
  readonly orders = new Map<number, OwnOrder>();
  access: Access;
  private readonly host: OwnOrdersHost;
  private own: TapedeckClient | undefined;
  private key: string | undefined;
  private readonly kept = new TabKey('tapedeck.key');
  /** A key of the page that may not trade; it is not tried twice. */
  private reader: string | undefined;
  /** Executions that arrived while the open orders were requested: the answer may be older. */
  private meanwhile: Execution[] | undefined;

  constructor(host: OwnOrdersHost, access: 'open' | 'none') {
    this.host = host;
    this.access = access;
  }

  /** Whether orders are sent over the connection of the page. */
  get sharesPage(): boolean {
    return this.access === 'open' || (this.access === 'key' && this.own === undefined);
  }

  /** The page has a connection: requests the open orders, as executions may have been missed. */
  async connected(): Promise<void> {
    if (this.sharesPage) await this.reload();
    if (this.access !== 'none') return;
    const { value } = this.kept;
    const key = this.host.key();
    if (value !== undefined) await this.present(value).catch(() => this.forget());
    else if (key !== undefined && key !== this.reader) await this.share(key);
  }

  /** The server no longer accepts the key of the page. */
  locked(): void {
    if (this.access === 'key' && this.sharesPage) this.forget();
  }

  /** Presents a key and stores it. @throws TapedeckError such as `unauthorized` */
  async present(key: string): Promise<void> {
    this.access = 'proving';
    this.host.changed();
    try {
      const own = await TapedeckClient.connect(this.host.url, { client: 'tapedeck page', key });
      own.on('execution', (execution) => this.take(execution));
      own.on('connected', () => void this.reload());
      own.on('disconnected', ({ code, retryInMs }) => {
        const why = KEY_ENDS.get(code) ?? `The connection ended with ${code}.`;
        if (retryInMs === undefined && this.own === own) this.host.failed(why);
      });
      own.on('closed', () => this.own === own && this.forget());
      this.own = own;
      this.key = key;
      await this.load();
      this.kept.keep(key);
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
    this.kept.forget();
    this.orders.clear();
    if (this.access !== 'open') this.access = 'none';
    this.host.changed();
  }

  /** @returns the outcome as text @throws TapedeckError with the server's reason */
  async enter(
    request: OrderRequest & { readonly quantity: string },
    definition: Instrument,
  ): Promise<string> {
    const trader = this.trader();
    const { quantityScale } = definition;
    trader.instruments.set(definition.symbol, definition); // a key that may trade may lack the right to read
    const { orderId, executions } = await trader.order(request);
    if (!this.sharesPage) for (const execution of executions) this.take(execution);
    const traded = executions.reduce((sum, { tradeQuantity }) => sum + (tradeQuantity ?? 0), 0);
    const wanted = parseDecimal(request.quantity, quantityScale);
    const order = orderId === undefined ? 'The order' : `Order ${orderId}`;
    if (traded === wanted) return `${order} is filled.`;
    const rests = executions.at(-1)?.open ?? 0;
    if (traded === 0)
      return rests > 0 ? `${order} rests in the book.` : `${order} found no match and has ended.`;
    return `${order} traded in part; ${rests > 0 ? 'the rest is in the book.' : 'the rest was cancelled.'}`;
  }

  async cancel({ orderId, symbol }: OwnOrder): Promise<void> {
    await this.trader().cancel({ orderId, symbol });
    this.orders.delete(orderId);
    this.host.changed();
  }

  /** Takes an execution of a connection that may trade. The definition arrives before it [O4]. */
  take(execution: Execution): void {
    this.meanwhile?.push(execution);
    this.apply(execution);
    this.host.changed();
  }

  private apply({ orderId, symbol, side, price, open, event }: Execution): void {
    if (event === 'rejected') return;
    const client = this.sharesPage ? this.host.client() : this.own;
    const definition = client?.instruments.get(symbol);
    if (open === 0) this.orders.delete(orderId);
    else if (definition === undefined) void this.reload();
    else {
      const limit = price === null ? null : formatDecimal(price, definition.priceScale);
      const left = formatDecimal(open, definition.quantityScale);
      this.orders.set(orderId, { orderId, symbol, side, price: limit, open: left });
    }
  }

  private trader(): TapedeckClient {
    const client = this.sharesPage ? this.host.client() : this.own;
    if (client !== undefined) return client;
    throw new TapedeckError('connection-failed', 'there is no connection for trading');
  }

  /** Trades with the key of the page if that key may trade. */
  private async share(key: string): Promise<void> {
    this.key = key;
    try {
      await this.load();
      this.access = 'key';
    } catch {
      this.reader = key;
      this.key = undefined;
    }
    this.host.changed();
  }

  /** Like `load`, for callers that do not wait. */
  private async reload(): Promise<void> {
    try {
      await this.load();
    } catch (e) {
      const { code, message } = e as TapedeckError;
      if (code !== 'connection-failed') {
        this.host.failed(`Your open orders could not be loaded: ${message}.`);
      }
    }
  }

  private async load(): Promise<void> {
    const meanwhile: Execution[] = [];
    this.meanwhile = meanwhile;
    try {
      const orders = await fetchOrders(this.host.url, this.key);
      if (this.meanwhile !== meanwhile) return; // requested again meanwhile
      this.orders.clear();
      for (const { orderId, symbol, side, price, open } of orders) {
        this.orders.set(orderId, { orderId, symbol, side, price, open });
      }
      for (const execution of meanwhile) this.apply(execution);
    } finally {
      if (this.meanwhile === meanwhile) this.meanwhile = undefined;
    }
    this.host.changed();
  }
}
