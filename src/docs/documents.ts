/**
 * Documents: the Markdown files that a server displays under `/docs`, in the order of its list of pages.
 * A file of `src/docs` that is not listed here fails a test.
 */

import type { DocumentFile } from '../base/contracts/documents';
import documents from './README.md' with { type: 'text' };
import gettingStarted from './getting-started.md' with { type: 'text' };
import howTo from './how-to.md' with { type: 'text' };
import clients from './clients.md' with { type: 'text' };
import concepts from './concepts.md' with { type: 'text' };
import cluster from './cluster.md' with { type: 'text' };
import operations from './operations.md' with { type: 'text' };
import backup from '../journal/BACKUP.md' with { type: 'text' };
import matching from '../market/venue/README.md' with { type: 'text' };
import rest from './reference/rest.md' with { type: 'text' };
import settings from './reference/settings.md' with { type: 'text' };
import commands from './reference/commands.md' with { type: 'text' };
import observing from './reference/observing.md' with { type: 'text' };
import specification from '../../protocol/README.md' with { type: 'text' };
import ring from '../../protocol/ring.md' with { type: 'text' };
import readme from '../../README.md' with { type: 'text' };
import changelog from '../../CHANGELOG.md' with { type: 'text' };
import security from '../../SECURITY.md' with { type: 'text' };

export const DOCUMENTS: readonly DocumentFile[] = [
  { file: 'src/docs/README.md', path: '/docs/guide', text: documents },
  {
    file: 'src/docs/getting-started.md',
    path: '/docs/guide/getting-started',
    text: gettingStarted,
  },
  { file: 'src/docs/how-to.md', path: '/docs/guide/how-to', text: howTo },
  { file: 'src/docs/clients.md', path: '/docs/guide/clients', text: clients },
  { file: 'src/docs/concepts.md', path: '/docs/guide/concepts', text: concepts },
  { file: 'src/docs/cluster.md', path: '/docs/guide/cluster', text: cluster },
  { file: 'src/docs/operations.md', path: '/docs/guide/operations', text: operations },
  { file: 'src/journal/BACKUP.md', path: '/docs/guide/backup', text: backup },
  { file: 'src/market/venue/README.md', path: '/docs/guide/matching', text: matching },
  { file: 'src/docs/reference/rest.md', path: '/docs/reference/rest', text: rest },
  { file: 'src/docs/reference/settings.md', path: '/docs/reference/settings', text: settings },
  { file: 'src/docs/reference/commands.md', path: '/docs/reference/commands', text: commands },
  { file: 'src/docs/reference/observing.md', path: '/docs/reference/observing', text: observing },
  { file: 'protocol/README.md', path: '/docs/protocol/specification', text: specification },
  { file: 'protocol/ring.md', path: '/docs/protocol/ring', text: ring },
  { file: 'README.md', path: '/docs/project/readme', text: readme },
  { file: 'CHANGELOG.md', path: '/docs/project/changelog', text: changelog },
  { file: 'SECURITY.md', path: '/docs/project/security', text: security },
];
