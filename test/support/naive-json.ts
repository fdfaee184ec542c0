/** The JSON form of a message, implemented a second time with objects: slow and simple. */

import type { FieldSpec, Fields } from '../../protocol/fields';
import { messageByType, type Message } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import type { Scales, ScalesOf } from '../../protocol/units';

export function naiveJson(message: Message, scalesOf: ScalesOf): unknown {
  const scales =
    message.type === 'instrument'
      ? message
      : 'symbol' in message
        ? scalesOf(message.symbol)
        : undefined;
  const { fields } = messageByType(message.type)!;
  return { type: message.type, ...objectOf(fields, message, scales, scalesOf) };
}

function objectOf(fields: Fields, from: unknown, scales: Scales | undefined, scalesOf: ScalesOf) {
  const values = from as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(fields).map(([name, { spec }]) => [
      name,
      valueOf(spec, values[name], scales, scalesOf),
    ]),
  );
}

function valueOf(
  spec: FieldSpec,
  value: unknown,
  scales: Scales | undefined,
  scalesOf: ScalesOf,
): unknown {
  switch (spec.type) {
    case 'price':
      return decimal(value as number, scales!.priceScale);
    case 'sum':
    case 'quantity':
      return decimal(value as number | bigint, scales!.quantityScale);
    case 'nanos':
      return String((value as Nanos).toBigInt());
    case 'levels':
      return (value as number[]).flatMap((price, i, all) =>
        i % 2 === 0
          ? [[decimal(price, scales!.priceScale), decimal(all[i + 1]!, scales!.quantityScale)]]
          : [],
      );
    case 'nullable':
      return value === null ? null : valueOf(spec.inner.spec, value, scales, scalesOf);
    case 'list':
      return (value as unknown[]).map((item) => valueOf(spec.item.spec, item, scales, scalesOf));
    case 'struct':
      return objectOf(spec.fields, value, scales, scalesOf);
    case 'messages':
      return (value as Message[]).map((inner) => naiveJson(inner, scalesOf));
    default:
      return value;
  }
}

/** Computed by moving the decimal point in the digits. */
function decimal(value: number | bigint, scale: number): string {
  const size = BigInt(value) < 0n ? -BigInt(value) : BigInt(value);
  const one = 10n ** BigInt(scale);
  const part = scale === 0 ? '' : `.${String(one + (size % one)).slice(1)}`;
  return `${value < 0 ? '-' : ''}${size / one}${part}`;
}
