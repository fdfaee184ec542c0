/**
 * Order view: the ticket of the chosen instrument, the key field if a key is required, and the user's own
 * orders.
 */

import { formatDecimal, type Instrument, type TapedeckError } from '../../client/index';
import { Choice, make, type Cell } from './dom';
import { grouped } from './format';
import { refusalMessage, ticketFault, type Ticket } from './order-messages';
import type { OwnOrder, OwnOrders } from './own-orders';
import type { View } from './painter';

type Side = 'buy' | 'sell';
type Kind = 'limit' | 'market';

/** What the ticket needs from the page. */
export interface OrderViewHost {
  /** Definition of the chosen instrument. */
  definition(): Instrument | undefined;
  /** Whether the page is connected, so that orders can be sent. */
  isLive(): boolean;
  /** Whether the page displays a past time, for which no orders are accepted. */
  isPast(): boolean;
  /** Last price of the chosen instrument, scaled. */
  last(): number | null;
}

export class OrderView implements View {
  private readonly own: OwnOrders;
  private readonly host: OrderViewHost;
  private readonly note: Cell;
  private readonly form = make('form', 'fields');
  private readonly keyForm = make('form', 'key');
  private readonly key = make('input');
  private readonly price = make('input');
  private readonly quantity = make('input');
  private readonly submit = make('button', 'submit', 'Buy');
  private readonly outcome = make('p', 'outcome');
  private readonly list = make('div', 'own');
  private readonly sides: Choice<Side>;
  private readonly kinds: Choice<Kind>;
  private side: Side = 'buy';
  private kind: Kind = 'limit';
  private symbol = '';
  private sending = false;
  private shownOrders = '';

  constructor(root: HTMLElement, note: Cell, own: OwnOrders, host: OrderViewHost) {
    this.own = own;
    this.host = host;
    this.note = note;
    this.sides = new Choice<Side>(
      [
        ['buy', 'Buy'],
        ['sell', 'Sell'],
      ],
      'Side',
      (side) => this.setSide(side),
      'sides',
    );
    this.kinds = new Choice<Kind>(
      [
        ['limit', 'Limit'],
        ['market', 'Market'],
      ],
      'Kind of order',
      (kind) => this.setKind(kind),
    );
    this.build(root);
    this.setSide('buy');
    this.setKind('limit');
  }

  /** Copies a price of the book into the ticket. */
  pick(price: string): void {
    if (this.host.isPast()) return;
    this.setKind('limit');
    this.price.value = price;
  }

  /** Displays an error that does not belong to a new order. */
  failed(why: string): void {
    this.say(why, 'down');
  }

  /** Chooses the side and focuses the ticket; for the keyboard. */
  begin(side: Side): void {
    if (this.host.isPast()) return;
    this.setSide(side);
    (this.quantity.value === '' || this.kind === 'market' ? this.quantity : this.price).focus();
  }

  paint(): void {
    const definition = this.host.definition();
    const { access } = this.own;
    const venue = definition?.market === 'venue';
    const able = access === 'open' || access === 'key';
    const isPast = this.host.isPast();
    if (definition === undefined) this.note.set('');
    else if (isPast) this.note.set('past, takes none');
    else if (!this.host.isLive()) this.note.set('not connected');
    else this.note.set(venue ? noteOf(access) : 'a feed, accepts none');
    this.keyForm.hidden = able || !venue;
    this.keyForm.style.display = this.keyForm.hidden ? 'none' : '';
    this.submit.disabled = isPast || !venue || !able || this.sending || !this.host.isLive();
    this.sides.disable(isPast);
    this.kinds.disable(isPast);
    this.quantity.disabled = isPast;
    this.price.disabled = isPast || this.kind === 'market';
    this.submit.className = `submit ${this.side}`;
    this.submit.textContent = `${this.side === 'buy' ? 'Buy' : 'Sell'} ${definition?.symbol ?? ''}`;
    if (definition !== undefined && definition.symbol !== this.symbol) this.fill(definition);
    this.paintOrders();
  }

  private fill(definition: Instrument): void {
    this.symbol = definition.symbol;
    const last = this.host.last() ?? definition.previousClose;
    this.price.value = last === null ? '' : formatDecimal(last, definition.priceScale);
    const { quantityIncrement, quantityScale, rules } = definition;
    const least = Math.max(quantityIncrement, rules?.quantityMin ?? 0);
    this.quantity.value = formatDecimal(least, quantityScale);
    this.say('');
  }

  /** Orders of all instruments, those of the chosen one first. */
  private paintOrders(): void {
    const { symbol } = this;
    const orders = [...this.own.orders.values()].sort(
      (a, b) => Number(b.symbol === symbol) - Number(a.symbol === symbol) || b.orderId - a.orderId,
    );
    const text = [symbol, ...orders.map((o) => `${o.orderId} ${o.price} ${o.open}`)].join();
    if (text === this.shownOrders && this.list.childElementCount > 0) return;
    this.shownOrders = text;
    if (orders.length === 0) this.list.replaceChildren(make('p', '', 'No open orders.'));
    else this.list.replaceChildren(...orders.map((order) => this.line(order)));
  }

  private line(order: OwnOrder): HTMLElement {
    const cancel = make('button', '', '×');
    cancel.type = 'button';
    cancel.setAttribute('aria-label', `Cancel order ${order.orderId} of ${order.symbol}`);
    cancel.addEventListener('click', () => void this.cancel(order));
    const side = make('span', order.side === 'buy' ? 'up' : 'down', order.side);
    const symbol = make('span', 'symbol', order.symbol);
    const open = make('span', 'open', grouped(order.open));
    const price = make('span', 'price', order.price === null ? 'market' : grouped(order.price));
    const line = make('div', '', side, symbol, open, price, cancel);
    line.title = `Order ${order.orderId}: ${order.side} ${order.open} ${order.symbol} at ${order.price ?? 'market'}`;
    return line;
  }

  private async cancel(order: OwnOrder): Promise<void> {
    const { orderId, symbol } = order;
    try {
      await this.own.cancel(order);
      this.say(`Order ${orderId} of ${symbol} is cancelled.`);
      this.paint(); // the outcome and the list change together
    } catch (e) {
      const definition = this.host.definition();
      if (definition === undefined) this.fail(e as TapedeckError);
      else
        this.say(
          refusalMessage(e as TapedeckError, this.ticket, { ...definition, symbol }),
          'down',
        );
    }
  }

  private get ticket(): Ticket {
    const { side, kind } = this;
    return { side, kind, price: this.price.value.trim(), quantity: this.quantity.value.trim() };
  }

  private async send(): Promise<void> {
    const definition = this.host.definition();
    if (definition === undefined || this.sending || this.host.isPast()) return;
    const { ticket } = this;
    const wrong = ticketFault(ticket, definition);
    if (wrong !== undefined) {
      this.say(wrong, 'down');
      return;
    }
    this.sending = true;
    this.paint();
    const { symbol } = definition;
    const { side, kind, quantity, price } = ticket;
    const request = { symbol, side, kind, quantity, ...(kind === 'limit' && { price }) };
    try {
      this.say(await this.own.enter(request, definition), 'up');
    } catch (e) {
      this.say(refusalMessage(e as TapedeckError, ticket, definition), 'down');
    }
    this.sending = false;
    this.paint();
  }

  private async present(): Promise<void> {
    const key = this.key.value.trim();
    this.key.value = '';
    if (key === '') return;
    this.say('Checking the key …');
    try {
      await this.own.present(key);
      this.say('The key is accepted.', 'up');
    } catch (e) {
      this.fail(e as TapedeckError);
    }
  }

  private fail({ message, hint }: TapedeckError): void {
    this.say(hint === null || hint === undefined ? message : `${message}. ${hint}`, 'down');
  }

  private say(text: string, mood = ''): void {
    this.outcome.textContent = text;
    this.outcome.title = text;
    this.outcome.className = `outcome ${mood}`.trim();
  }

  private setSide(side: Side): void {
    this.side = side;
    this.sides.press(side);
    this.paint();
  }

  private setKind(kind: Kind): void {
    this.kind = kind;
    this.kinds.press(kind);
    this.paint();
  }

  private build(root: HTMLElement): void {
    this.key.type = 'password';
    this.key.placeholder = 'Key with the role trade';
    this.key.autocomplete = 'off';
    this.key.setAttribute('aria-label', 'Key');
    this.keyForm.append(this.key, make('button', '', 'Use key'));
    this.keyForm.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.present();
    });
    for (const input of [this.price, this.quantity]) {
      input.type = 'text';
      input.inputMode = 'decimal';
      input.autocomplete = 'off';
    }
    this.price.name = 'price';
    this.quantity.name = 'quantity';
    this.form.append(
      this.sides.element,
      this.kinds.element,
      make('label', '', 'Price', this.price),
      make('label', '', 'Quantity', this.quantity),
      this.submit,
    );
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.send();
    });
    this.outcome.setAttribute('role', 'status');
    root.append(this.keyForm, this.form, this.outcome, this.list);
  }
}

function noteOf(access: OwnOrders['access']): string {
  if (access === 'open') return 'demo, no key needed';
  return access === 'key' ? 'key accepted' : 'needs a key';
}
