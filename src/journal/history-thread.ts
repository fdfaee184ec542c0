/** History thread: a worker that answers questions about the past. Its argument is the journal's file. */

import { HistoryReader } from './history/reader';
import { serveReader, reportDamage } from './history/reader-port';

serveReader(new HistoryReader(process.argv.at(-1)!, { onDamage: reportDamage }));
