// Builds web/built: node build.mjs. The same sources give the same bytes.
// Scripts have fixed names, which pages of others carry; what a page of ours loads is named by its content.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, parse } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import esbuild from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const target = process.argv[2] ?? join(here, 'built')
const limits = JSON.parse(await readFile(join(here, 'sizes.json'), 'utf8'))

// By the path they are served at.
const scripts = { 't.js': 'tracker/script.ts', 't/signs.js': 'tracker/signs.ts', 't/video.js': 'tracker/video.ts', 'widget.js': 'widget/script.ts' }
const pages = { app: 'dashboard', demo: 'demo' }

const options = {
  absWorkingDir: here,
  bundle: true,
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'warning',
  minify: true,
  target: 'es2022',
  write: false,
}

const files = new Map()

for (const [path, source] of Object.entries(scripts)) {
  const format = path.includes('/') ? 'esm' : 'iife'
  const { outputFiles } = await esbuild.build({ ...options, entryPoints: [source], format })
  files.set(path, Buffer.from(outputFiles[0].contents))
}

// A page is a folder with index.html. What that names with ./ is built if it is a source, and served by a name with a hash.
for (const [path, folder] of Object.entries(pages)) {
  if (!existsSync(join(here, folder, 'index.html'))) continue
  let html = await readFile(join(here, folder, 'index.html'), 'utf8')
  for (const name of new Set([...html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map((match) => match[1]))) {
    const { stem, extension, bytes } = await asset(`${folder}/${name}`, name)
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 12)
    const served = `${path}/${stem}-${hash}${extension}`
    files.set(served, bytes)
    html = html.replaceAll(`"./${name}"`, `"/${served}"`)
  }
  files.set(`${path}/index.html`, Buffer.from(html))
}

async function asset(source, name) {
  const { name: stem, ext } = parse(name)
  if (!['.ts', '.tsx', '.css'].includes(ext)) return { stem, extension: ext, bytes: await readFile(join(here, source)) }
  const { outputFiles } = await esbuild.build({ ...options, entryPoints: [source], format: 'esm' })
  return { stem, extension: ext === '.css' ? ext : '.js', bytes: Buffer.from(outputFiles[0].contents) }
}

await rm(target, { recursive: true, force: true })
const sizes = {}
for (const [path, bytes] of files) {
  await mkdir(dirname(join(target, path)), { recursive: true })
  await writeFile(join(target, path), bytes)
  if (path.endsWith('.webm')) continue
  const gzip = gzipSync(bytes, { level: 9 })
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } })
  await writeFile(join(target, `${path}.gz`), gzip)
  await writeFile(join(target, `${path}.br`), brotli)
  sizes[path.replace(/-[0-9a-f]{12}\./, '.')] = gzip.length
}

// Gzip bytes against what sizes.json allows.
const large = Object.entries(sizes).filter(([path, size]) => size > (limits[path] ?? Infinity))
for (const [path, size] of large) console.error(`${path} has ${size} bytes with gzip; sizes.json allows ${limits[path]}.`)
process.exitCode = large.length ? 1 : 0
