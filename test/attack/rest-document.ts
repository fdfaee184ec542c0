/**
 * REST document: the operations that a server describes in its own `/openapi.json`, and a function that checks an
 * answer against it: its status, its type, its headers, and its body by the schema of that status.
 *
 * It is stricter than the document in one way: a member that is not described is a fault.
 */

import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020';

import { ERRORS } from '../../protocol/codes';
import type { RawAnswer } from './raw-http';

interface Json {
  readonly [name: string]: unknown;
}

export interface DocumentParameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly schema: { readonly type?: string; readonly enum?: readonly string[] };
  readonly example?: string | number;
}

export interface DocumentOperation {
  readonly method: string;
  /** With `{name}` for a parameter. */
  readonly path: string;
  readonly parameters: readonly DocumentParameter[];
  readonly body: { readonly type: string; readonly example: unknown } | null;
  /** By status: the schema for each content type. */
  readonly answers: ReadonlyMap<number, ReadonlyMap<string, object | undefined>>;
  readonly role: string | null;
}

const HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
};

export class RestDocument {
  readonly operations: readonly DocumentOperation[];
  private readonly ajv = new Ajv2020({ strict: false });
  private readonly validators = new Map<object, ValidateFunction>();

  constructor(document: Json) {
    this.operations = operationsOf(document);
    this.ajv.addSchema({ $id: 'document', ...(closed(document) as object) });
  }

  /** The operation of a request; null if no operation has this path and method. */
  private operationOf(method: string, target: string): DocumentOperation | null {
    const parts = target.split('?')[0]!.replace(/\/$/, '').split('/');
    const found = this.operations.filter(({ path }) => {
      const wanted = path.split('/');
      return (
        wanted.length === parts.length &&
        wanted.every((w, i) => w === parts[i] || (w.startsWith('{') && parts[i] !== ''))
      );
    });
    const own = method === 'HEAD' ? 'GET' : method;
    return found.find((operation) => operation.method === own) ?? null;
  }

  /** What is wrong with the answer to a request. */
  faults(sent: string, target: string, answer: RawAnswer): string[] {
    const operation = this.operationOf(sent, target);
    const { status, headers } = answer;
    if (status >= 500 && status !== 503) return [`status ${status}: ${answer.body.slice(0, 200)}`];
    const wrong: string[] = [];
    for (const [name, value] of Object.entries(HEADERS)) {
      if (headers.get(name) !== value) wrong.push(`${name} is ${headers.get(name)}`);
    }
    // Made by Bun before the server is called: the head is too long.
    if (status === 431) return [];
    const described = operation?.answers.get(status);
    if (described === undefined && !(operation === null && (status === 404 || status === 405))) {
      return [...wrong, `status ${status} is not described: ${answer.body.slice(0, 200)}`];
    }
    if (sent === 'HEAD') return wrong;
    const type = headers.get('content-type')?.split(';')[0] ?? 'none';
    if (status >= 400) return [...wrong, ...errorFaults(status, type, answer.body)];
    const schema = described!.get(type);
    if (!described!.has(type)) return [...wrong, `type ${type} is not described`];
    return schema === undefined ? wrong : [...wrong, ...this.bodyFaults(schema, answer.body)];
  }

  private bodyFaults(schema: object, body: string): string[] {
    let value: unknown;
    try {
      value = JSON.parse(body);
    } catch {
      return [`no JSON: ${body.slice(0, 100)}`];
    }
    let validate = this.validators.get(schema);
    if (validate === undefined) {
      const { $ref } = schema as { $ref: string };
      validate = this.ajv.compile({ $ref: `document${$ref}` });
      this.validators.set(schema, validate);
    }
    if (validate(value)) return [];
    const [first] = validate.errors!;
    return [`${first!.instancePath} ${first!.message} ${JSON.stringify(first!.params)}`];
  }
}

/** `{error: {code, message, field?, hint}}`, with a code that has this status. */
function errorFaults(status: number, type: string, body: string): string[] {
  if (type !== 'application/json') return [`an error of type ${type}`];
  try {
    const whole = JSON.parse(body) as { error: Record<string, unknown> };
    const { code, message, field, hint, ...rest } = whole.error;
    const known = Object.hasOwn(ERRORS, String(code)) ? ERRORS[code as 'internal'] : undefined;
    const isGood =
      known?.status === status &&
      hint === known.hint &&
      typeof message === 'string' &&
      message.length > 0 &&
      message.length < 400 &&
      ['string', 'undefined'].includes(typeof field) &&
      Object.keys(rest).length === 0 &&
      Object.keys(whole).length === 1;
    return isGood ? [] : [`an odd error: ${status} ${body.slice(0, 200)}`];
  } catch {
    return [`an error that is no JSON: ${body.slice(0, 100)}`];
  }
}

function operationsOf(document: Json): DocumentOperation[] {
  const paths = document['paths'] as Record<string, Record<string, Json>>;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const responses = operation['responses'] as Record<
        string,
        { content: Record<string, { schema?: object }> }
      >;
      const body = operation['requestBody'] as
        { content: Record<string, { example: unknown }> } | undefined;
      const [content] = Object.entries(body?.content ?? {});
      return {
        method: method.toUpperCase(),
        path,
        parameters: operation['parameters'] as DocumentParameter[],
        body: content === undefined ? null : { type: content[0], example: content[1].example },
        answers: new Map(
          Object.entries(responses).map(([status, response]) => [
            Number(status),
            new Map(Object.entries(response.content).map(([type, { schema }]) => [type, schema])),
          ]),
        ),
        role: /Needs the role (\w+)/.exec(String(operation['description']))?.[1] ?? null,
      };
    }),
  );
}

/** The document, with every object schema closed to members that it does not name. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const inner = Object.fromEntries(Object.entries(value).map(([name, v]) => [name, closed(v)]));
  const isObject = inner['type'] === 'object' && 'properties' in inner;
  return isObject ? { ...inner, additionalProperties: false } : inner;
}
