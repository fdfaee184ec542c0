/**
 * Conversion: an event is read with the decimals that its recording declared. If its destination defines other
 * decimals for the symbol, the numbers are converted, exactly or not at all.
 */

import { shown } from '../../../protocol/codes';
import type { Fields, FieldSpec } from '../../../protocol/fields';
import { MESSAGES, type Instrument, type SourceEvent } from '../../../protocol/messages';
import { kindOf } from '../../../protocol/plain';
import { formatDecimal, POWERS, type Scales } from '../../../protocol/units';
import { lineFault, type LineFault } from './faults';
import type { Recorded } from './record';

export class Conversion {
  private readonly targetOf: (symbol: string) => Instrument | undefined;
  /** The newest definition of the recording. */
  private readonly declared = new Map<string, Instrument>();
  /** Definitions that were passed on and are in force. */
  private readonly handedOn = new Map<string, Instrument>();
  private readonly refused = new Map<string, LineFault>();

  /** @param targetOf the destination's definition of a symbol */
  constructor(targetOf: (symbol: string) => Instrument | undefined) {
    this.targetOf = targetOf;
  }

  /** The record in the destination's decimals, possibly without events, or why it cannot be converted. */
  convert(record: Recorded): Recorded | LineFault {
    const events: SourceEvent[] = [];
    for (const event of record.events) {
      const converted = event.type === 'instrument' ? this.define(event) : this.event(event);
      if (converted === undefined) continue;
      if ('code' in converted) return converted;
      events.push(converted);
    }
    return events.length === record.events.length && events.every((e, i) => e === record.events[i])
      ? record
      : { ...record, events };
  }

  /** The destination's definition of a symbol, if it is known by now. */
  definitionOf(symbol: string): Instrument | undefined {
    return this.target(symbol) ?? this.declared.get(symbol);
  }

  /** An event in the decimals of the destination. */
  event(event: Exclude<SourceEvent, Instrument>): SourceEvent | LineFault {
    const refused = this.refused.get(event.symbol);
    if (refused !== undefined) {
      const message = `the definition of ${event.symbol} was refused: ${refused.message}`;
      return { ...refused, message, name: `definition of ${event.symbol}` };
    }
    const from = this.declared.get(event.symbol);
    const to = this.target(event.symbol);
    if (from === undefined || to === undefined || haveSameScales(from, to)) return event;
    return rescaleEvent(event, from, to);
  }

  /** A definition was refused: events that depend on it are refused with it. */
  refuse(symbol: string, fault: LineFault): void {
    this.refused.set(symbol, fault);
    this.handedOn.delete(symbol);
  }

  /** @returns undefined if the increments cannot be expressed in the other decimals */
  private define(definition: Instrument): Instrument | undefined {
    const { symbol } = definition;
    this.declared.set(symbol, definition);
    this.refused.delete(symbol);
    const target = this.target(symbol);
    if (target !== undefined && !haveSameScales(definition, target)) {
      const rescaled = rescaleEvent(definition, definition, target);
      return 'code' in rescaled ? undefined : { ...rescaled, ...scalesOf(target) };
    }
    this.handedOn.set(symbol, definition);
    return definition;
  }

  private target(symbol: string): Instrument | undefined {
    return this.targetOf(symbol) ?? this.handedOn.get(symbol);
  }
}

function haveSameScales(a: Scales, b: Scales): boolean {
  return a.priceScale === b.priceScale && a.quantityScale === b.quantityScale;
}

function scalesOf({ priceScale, quantityScale }: Scales): Scales {
  return { priceScale, quantityScale };
}

/** The event with the same values at other scales, or the first value that cannot be expressed. */
export function rescaleEvent<E extends SourceEvent>(
  event: E,
  from: Scales,
  to: Scales,
): E | LineFault {
  const rescaler = new Rescaler(event.symbol, from, to);
  const converted = rescaler.event(event);
  return rescaler.fault ?? (converted as E);
}

class Rescaler {
  fault: LineFault | undefined;
  private readonly symbol: string;
  private readonly from: Scales;
  private readonly to: Scales;

  constructor(symbol: string, from: Scales, to: Scales) {
    this.symbol = symbol;
    this.from = from;
    this.to = to;
  }

  event(e: SourceEvent): SourceEvent {
    const converted: Record<string, unknown> = { ...e };
    const fields: Fields = MESSAGES[e.type].fields;
    for (const [name, field] of Object.entries(fields)) {
      const value = converted[name];
      if (value !== null) converted[name] = this.value(kindOf(field), value, name);
    }
    return converted as unknown as SourceEvent;
  }

  private value(kind: FieldSpec['type'], value: unknown, field: string): unknown {
    switch (kind) {
      case 'price':
        return this.price(value as number, field);
      case 'quantity':
        return this.quantity(value as number, field);
      case 'levels':
        return this.levels(value as readonly number[], field);
      default:
        return value;
    }
  }

  private levels(flat: readonly number[], field: string): number[] {
    return flat.map((value, i) =>
      i % 2 === 0
        ? this.price(value, `${field}[${i / 2}][0]`)
        : this.quantity(value, `${field}[${(i - 1) / 2}][1]`),
    );
  }

  private price(value: number, field: string): number {
    return this.number(value, this.from.priceScale, this.to.priceScale, field);
  }

  private quantity(value: number, field: string): number {
    return this.number(value, this.from.quantityScale, this.to.quantityScale, field);
  }

  private number(value: number, from: number, to: number, field: string): number {
    if (to >= from) {
      const more = value * POWERS[to - from]!;
      if (Number.isSafeInteger(more)) return more;
      this.refuse(value, from, field, `less than 2^53 when scaled by 10^${to}`, 'out-of-range');
    } else {
      const fewer = value / POWERS[from - to]!;
      if (Number.isInteger(fewer) && value === fewer * POWERS[from - to]!) return fewer;
      this.refuse(value, from, field, `no more than ${to} decimals`, 'off-increment');
    }
    return 0;
  }

  private refuse(
    value: number,
    scale: number,
    field: string,
    expected: string,
    code: 'out-of-range' | 'off-increment',
  ): void {
    const text = shown(formatDecimal(value, scale));
    const message = `${field} is ${text}; expected ${expected}, which ${this.symbol} has where it goes to`;
    this.fault ??= { ...lineFault(code, message), field };
  }
}
