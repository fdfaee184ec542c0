/** OpenAPI: the document at `/openapi.json`, made once of the operations and the schemas. */

import { ERRORS, fault, type ErrorCode } from '../../../protocol/codes';
import { OPERATIONS, type Operation } from './openapi-operations';
import { SCHEMAS } from './openapi-schemas';

const TAGS: Readonly<Record<Operation['tag'], string>> = {
  market: 'What is now',
  past: 'What was',
  orders: 'Trading at the venues of this server',
  feeds: 'What sources bring in',
  operation: 'Running the server',
};

/** @returns JSON text */
export function openApiDocument(version: string): string {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of OPERATIONS) {
    const path = operation.path.replaceAll(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[operation.method] = describe(operation);
  }
  return JSON.stringify({
    openapi: '3.1.0',
    info: {
      title: 'Tapedeck',
      version,
      description:
        'Market data over REST. Decimals and times are strings, exact to the last digit; times are nanoseconds since 1970. Query parameters and members that are not described are refused. Long answers are compressed for those who ask.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'The server that gives this document' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: Object.fromEntries(
        Object.entries(SCHEMAS).map(([name, schema]) => [name, membersOf(schema)]),
      ),
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'A key of this server, or a token' },
      },
    },
  });
}

function describe(operation: Operation): object {
  const {
    id,
    tag,
    summary,
    role,
    parameters = [],
    body,
    status = 200,
    answer,
    otherwise,
  } = operation;
  const content =
    'schema' in answer
      ? { 'application/json': { schema: reference(answer.schema), example: answer.example } }
      : { [answer.type]: {} };
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(role !== undefined && { description: `Needs the role ${role}.` }),
    security: securityOf(operation),
    parameters: parameters.map((p) => Object.assign({ required: p.in === 'path' }, p)),
    ...(body === undefined ? {} : { requestBody: requestOf(body) }),
    responses: {
      [status]: { description: summary, content },
      ...(otherwise !== undefined && {
        [otherwise.status]: {
          description: otherwise.summary,
          content: {
            'application/json': { schema: reference(otherwise.schema), example: otherwise.example },
          },
        },
      }),
      ...errorResponses(errorsOf(operation)),
    },
  };
}

/** Where it needs no role, a key is needed if the server asks one of whoever reads. */
function securityOf({ path, role }: Operation): object[] {
  if (role !== undefined) return [{ key: [] }];
  return path.startsWith('/v1/') ? [{}, { key: [] }] : [];
}

function requestOf({ type, schema, example }: NonNullable<Operation['body']>): object {
  const described = schema === undefined ? { type: 'string' } : reference(schema);
  return { required: true, content: { [type]: { schema: described, example } } };
}

/** Its own, and those of every route of its kind. */
function errorsOf({ path, role, body, errors }: Operation): readonly ErrorCode[] {
  const ofKind: ErrorCode[] = ['invalid-field', 'limit-reached', 'internal'];
  if (path.startsWith('/v1/')) ofKind.push('unauthorized', 'forbidden');
  if (role !== undefined) ofKind.push('overloaded');
  if (body !== undefined) ofKind.push('malformed-json', 'frame-too-large');
  return [...errors, ...ofKind];
}

/** By status, since a status may stand for several codes; each has an example. */
function errorResponses(codes: readonly ErrorCode[]): Record<number, object> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const { status } = ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const responses: Record<number, object> = {};
  for (const [status, ofStatus] of byStatus) {
    const examples = Object.fromEntries(ofStatus.map((code) => [code, { value: exampleOf(code) }]));
    responses[status] = {
      description: ofStatus.join(', '),
      content: { 'application/json': { schema: reference('Error'), examples } },
    };
  }
  return responses;
}

function exampleOf(code: ErrorCode): object {
  const { message } = fault(code, 'what was wrong, with the value and what was expected');
  return { error: { code, message, hint: ERRORS[code].hint } };
}

/** The names of the schemas, by which they stand where others have them in them. */
const NAMES: ReadonlyMap<unknown, keyof typeof SCHEMAS> = new Map(
  Object.entries(SCHEMAS).map(([name, schema]) => [schema, name as keyof typeof SCHEMAS]),
);

/** A schema with references in place of those that have a name. */
function membersOf(schema: object): object {
  return Object.fromEntries(
    Object.entries(schema).map(([name, value]) => [name, referring(value)]),
  );
}

function referring(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(referring);
  if (typeof value !== 'object' || value === null) return value;
  const name = NAMES.get(value);
  return name === undefined ? membersOf(value) : reference(name);
}

function reference(name: keyof typeof SCHEMAS): object {
  return { $ref: `#/components/schemas/${name}` };
}
