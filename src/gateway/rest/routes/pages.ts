/** Pages: what browsers open, and the OpenAPI document that the page of the API is made from. */

import { Type } from '@sinclair/typebox';

import type { KeptAnswer } from '../kept-answers';
import type { PageFiles } from '../page-files';
import { routesOf, type RouteGroup } from '../route';

export interface PageServices {
  readonly pages: PageFiles;
  /** Whether a request may trade without a key that its user has to enter. */
  readonly mayTrade: (request: Request) => Promise<boolean>;
  /** The answer of `GET /openapi.json`. */
  readonly openApi: KeptAnswer;
}

const HTML = { type: 'text/html' };

const { kept, raw } = routesOf<PageServices>();

export const PAGES: RouteGroup<PageServices> = {
  name: 'pages',
  description: 'For browsers',
  isHidden: true,
  routes: [
    raw({
      id: 'getPage',
      method: 'GET',
      path: '/',
      summary: 'The page',
      role: null,
      answer: HTML,
      errors: [],
      takesAnyQuery: true,
      respond: async ({ request }, { pages, mayTrade }) =>
        pages.front(request, await mayTrade(request)),
    }),
    raw({
      id: 'getAsset',
      method: 'GET',
      path: '/assets/:name',
      summary: 'Scripts, styles and icons of the pages',
      role: null,
      params: { name: Type.String({ description: 'Name of a file' }) },
      answer: HTML,
      errors: ['not-found'],
      takesAnyQuery: true,
      respond: ({ request, params }, { pages }) => pages.asset(request, params['name']!),
    }),
    raw({
      id: 'getDocs',
      method: 'GET',
      path: '/docs',
      summary: 'These routes with examples and errors, for people',
      role: null,
      answer: HTML,
      errors: [],
      takesAnyQuery: true,
      respond: ({ request }, { pages }) => pages.docs(request),
    }),
    raw({
      id: 'getGuide',
      method: 'GET',
      path: '/docs/guide',
      summary: 'The list of documents',
      role: null,
      answer: HTML,
      errors: [],
      takesAnyQuery: true,
      respond: ({ request }, { pages }) => pages.document(request, '/docs/guide'),
    }),
    raw({
      id: 'getDocument',
      method: 'GET',
      path: '/docs/:section/:page',
      summary: 'A document, for people',
      role: null,
      params: {
        section: Type.String({ description: 'Section of the list of documents' }),
        page: Type.String({ description: 'Name of a document' }),
      },
      answer: HTML,
      errors: ['not-found'],
      takesAnyQuery: true,
      respond: ({ request, params }, { pages }) =>
        pages.document(request, `/docs/${params['section']}/${params['page']}`),
    }),
    kept({
      id: 'getOpenApi',
      method: 'GET',
      path: '/openapi.json',
      summary: 'These routes with examples and errors, for programs',
      role: null,
      answer: { type: 'application/json' },
      errors: [],
      kept: ({ openApi }) => openApi,
    }),
  ],
};
