/** OpenAPI: builds the document at `/openapi.json` from the declarations of the routes. */

import { Type, type TProperties, type TSchema } from '@sinclair/typebox';

import { ERRORS, fault, type ErrorCode } from '../../../protocol/codes';
import type { LimitName, ParameterLimits } from './parameters';
import type { Answer, Route, RouteGroup } from './route';

type AnyRoute = Route<never>;
type Groups = readonly RouteGroup<never>[];

/** A parameter as the document describes it. */
export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly required: boolean;
  readonly description: string;
  readonly schema: Readonly<Record<string, unknown>>;
  readonly example?: string | number | boolean;
}

/** The body of a route, if it takes one. */
export function bodyOf(route: AnyRoute) {
  return 'body' in route ? route.body : undefined;
}

/** The routes that the document describes. */
export function documented(groups: Groups): readonly AnyRoute[] {
  return groups.filter(({ isHidden }) => isHidden !== true).flatMap(({ routes }) => routes);
}

/** @param limits those of the server, as maxima of parameters @returns JSON text */
export function openApiDocument(version: string, groups: Groups, limits?: ParameterLimits): string {
  const shown = groups.filter(({ isHidden }) => isHidden !== true);
  const schemas = new Map<string, object>();
  const paths: Record<string, Record<string, object>> = {};
  for (const { name, routes } of shown) {
    for (const route of routes) {
      const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
      const operation = new Description(schemas).of(route, name, limits);
      (paths[path] ??= {})[route.method.toLowerCase()] = operation;
    }
  }
  return JSON.stringify({
    openapi: '3.1.0',
    info: {
      title: 'Tapedeck',
      version,
      description:
        'Market data over REST. Decimals and times are strings, exact to the last digit; times are nanoseconds since 1970. Query parameters and members that are not described are refused. Long answers are compressed for clients that accept it.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'The server that gives this document' }],
    tags: shown.map(({ name, description }) => ({ name, description })),
    paths,
    components: {
      schemas: Object.fromEntries(schemas),
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'A key of this server, or a token' },
      },
    },
  });
}

/** Describes routes, and collects the schemas that they name. */
class Description {
  /** By their `$id`. */
  private readonly schemas: Map<string, object>;

  constructor(schemas: Map<string, object>) {
    this.schemas = schemas;
  }

  of(route: AnyRoute, tag: string, limits?: ParameterLimits): object {
    const { id, summary, answer, otherwise } = route;
    const role = neededRole(route);
    const body = bodyOf(route);
    return {
      operationId: id,
      tags: [tag],
      summary,
      ...(role !== null && { description: `Needs the role ${role}.` }),
      security: securityOf(route),
      parameters: parametersOf(route, limits),
      ...(body !== undefined && {
        requestBody: {
          required: true,
          content: {
            [body.type]: {
              schema: 'schema' in body ? this.refer(body.schema) : { type: 'string' },
              example: body.example,
            },
          },
        },
      }),
      responses: {
        [answer.status ?? 200]: { description: summary, content: this.contentOf(answer) },
        ...(otherwise !== undefined && {
          [otherwise.status]: {
            description: otherwise.summary,
            content: this.contentOf(otherwise),
          },
        }),
        ...this.errorResponses(errorsOf(route)),
      },
    };
  }

  private contentOf({ schema, example, type }: Omit<Answer, 'status'>): object {
    return schema === undefined
      ? { [type!]: {} }
      : { 'application/json': { schema: this.refer(schema), example } };
  }

  /** By status, since a status may stand for several codes; each has an example. */
  private errorResponses(codes: readonly ErrorCode[]): Record<number, object> {
    const byStatus = Map.groupBy(new Set(codes), (code) => ERRORS[code].status);
    const responses: Record<number, object> = {};
    for (const [status, ofStatus] of byStatus) {
      const examples = Object.fromEntries(
        ofStatus.map((code) => [code, { value: exampleOf(code) }]),
      );
      responses[status] = {
        description: ofStatus.join(', '),
        content: { 'application/json': { schema: this.refer(ErrorAnswer), examples } },
      };
    }
    return responses;
  }

  /** A schema in which each schema with an `$id` is replaced by a reference. */
  private refer(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((one) => this.refer(one));
    if (typeof value !== 'object' || value === null) return value;
    const { $id: name, ...members } = value as { $id?: unknown };
    if (typeof name !== 'string') return this.membersOf(members);
    if (!this.schemas.has(name)) {
      this.schemas.set(name, {}); // keeps its position before those within it
      this.schemas.set(name, this.membersOf(members));
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  private membersOf(members: object): object {
    return Object.fromEntries(
      Object.entries(members).map(([name, value]) => [name, this.refer(value)]),
    );
  }
}

/** The parameters of a route: of its path, then of its query. */
export function parametersOf(route: AnyRoute, limits?: ParameterLimits): readonly Parameter[] {
  const params = 'params' in route ? route.params : undefined;
  const query = 'query' in route ? route.query : undefined;
  return [
    ...parametersIn('path', params ?? {}, limits),
    ...parametersIn('query', query ?? {}, limits),
  ];
}

function parametersIn(
  where: Parameter['in'],
  schemas: TProperties,
  limits: ParameterLimits | undefined,
): Parameter[] {
  const required = new Set(Type.Object(schemas).required);
  return Object.entries(schemas).map(([name, schema]) => {
    const { description = '', examples, ...rest } = schema;
    const example = (examples as Parameter['example'][] | undefined)?.[0];
    const parameter = {
      name,
      in: where,
      required: required.has(name) && !('default' in schema),
      description,
      schema: withoutNotes(rest, limits),
    };
    return example === undefined ? parameter : Object.assign(parameter, { example });
  });
}

/** What JSON Schema knows of a schema; a maximum that a setting bounds is that of the server. */
function withoutNotes(
  schema: Omit<TSchema, symbol>,
  limits: ParameterLimits | undefined,
): Record<string, unknown> {
  const known = Object.entries(schema).filter(([name]) => !name.startsWith('x-'));
  const setting = schema['x-limit'] as LimitName | undefined;
  return {
    ...Object.fromEntries(known),
    ...(setting !== undefined && limits !== undefined && { maximum: limits[setting] }),
  };
}

/** The role that a key must have; null: a key is needed only if the server requires one for reading. */
function neededRole({ role }: AnyRoute): string | null {
  return role === 'read' ? null : role;
}

function securityOf(route: AnyRoute): object[] {
  if (neededRole(route) !== null) return [{ key: [] }];
  return route.path.startsWith('/v1/') ? [{}, { key: [] }] : [];
}

/** The codes of a route, and those of every route of its kind. */
function errorsOf(route: AnyRoute): readonly ErrorCode[] {
  const ofKind: ErrorCode[] = ['invalid-field', 'limit-reached', 'internal'];
  if (route.path.startsWith('/v1/')) ofKind.push('unauthorized', 'forbidden');
  if (neededRole(route) !== null) ofKind.push('overloaded');
  if (bodyOf(route) !== undefined) ofKind.push('malformed-json', 'frame-too-large');
  return [...route.errors, ...ofKind];
}

function exampleOf(code: ErrorCode): object {
  const { message } = fault(code, 'what was wrong, with the value and what was expected');
  return { error: { code, message, hint: ERRORS[code].hint } };
}

export const ErrorAnswer = Type.Object(
  {
    error: Type.Object({
      code: Type.Union(Object.keys(ERRORS).map((code) => Type.Literal(code))),
      message: Type.String({ description: 'What was wrong, with field, value and expectation' }),
      field: Type.Optional(Type.String({ description: 'The field at fault' })),
      hint: Type.String({ description: 'What to do' }),
    }),
  },
  { $id: 'Error' },
);
