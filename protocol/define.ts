/** Definition of a message: its code on the wire and its fields, the source of all its forms. */

import { Type, type TObject } from '@sinclair/typebox';

import { jsonProperties, type Fields } from './fields';

export interface MessageDef<T extends string = string, F extends Fields = Fields> {
  readonly type: T;
  readonly code: number;
  readonly fields: F;
  /** The fields in wire order. */
  readonly names: readonly string[];
  /** The JSON form. */
  readonly schema: TObject;
}

export function define<const T extends string, F extends Fields>(
  code: number,
  type: T,
  description: string,
  fields: F,
): MessageDef<T, F> {
  const schema = Type.Object(
    { type: Type.Literal(type), ...jsonProperties(fields) },
    { $id: type, description },
  );
  return { type, code, fields, names: Object.keys(fields), schema };
}
