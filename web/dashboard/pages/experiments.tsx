// Experiments: what is compared, what is known by now, and what was done to them.
import { useState } from 'preact/hooks'
import type { Finding } from '../answers.ts'
import { fetched, Problem } from '../api.ts'
import { Answer, Empty, useAnswer } from '../asking.tsx'
import { Estimates } from '../charts/estimates.tsx'
import { Card, Table } from '../parts.tsx'
import { parameter, to } from '../route.ts'
import { Compared, type Documents, subject, useDocuments } from './compared.tsx'
import { counted, named, number, share, time } from '../words.ts'

export interface Experiment {
  definition: { experimentId: string; title: string; arms: { name: string; weight: number; value: string }[]; ramp: number[]; holdoutPercent: number }
  state: string
  percent: number
  promoted: string
  days: number
  history: { changeTime: string; state: string; percent: number; actor: string; why: string }[]
}

interface Results {
  units: { arm: string; units: number; meant: number }[]
  fallbackUnits: number
  unitsInSeveralArms: number
  unmatchedReports: number
  ratioPValue: number
  ratio: 'fine' | 'warning' | 'alarm'
  severalArms: 'fine' | 'warning'
  findings: Finding[]
  winner: string
  waitsFor: string[]
  daysLeft: number | null
}

const EVERY_SECONDS = 15
const RATIO = { fine: 'They fit the shares', warning: 'They hardly fit the shares: look into it', alarm: 'They do not fit the shares: whoever is missing makes every figure wrong' }
/** What may be done in each state, the usual first. */
const ACTS: Record<string, string[]> = {
  draft: ['start', 'stop'],
  running: ['pause', 'stop', 'rollback'],
  paused: ['start', 'stop', 'rollback'],
  promoted: ['rollback'],
}

export function Experiments() {
  const chosen = parameter('experiment')
  const documents = useDocuments()
  const listed = useAnswer<{ experiments: Experiment[] }>('/api/experiments', undefined, EVERY_SECONDS)
  return (
    <div class="grid">
      <Card title="All experiments" isWide>
        <Answer of={listed}>
          {({ experiments }) => (experiments.length ? <List of={experiments} documents={documents} /> : <Empty>There is no experiment yet. POST /api/experiments creates one.</Empty>)}
        </Answer>
      </Card>
      {chosen && <One id={chosen} documents={documents} changed={listed.again} />}
    </div>
  )
}

const List = ({ of, documents }: { of: readonly Experiment[]; documents: Documents }) => (
  <Table
    caption="Experiments"
    rows={of}
    columns={[
      { name: 'Experiment', of: ({ definition: { experimentId, title } }) => <><a href={to('experiments', { experiment: experimentId })}>{experimentId}</a> {title}</> },
      { name: 'Compares', of: (each) => subject(each, documents) },
      { name: 'State', of: (each) => state(each) },
      { name: 'Units', of: ({ percent }) => share(percent / 100), isNumber: true },
      { name: 'Arms', of: ({ definition }) => definition.arms.map(({ name }) => name).join(', ') },
      { name: 'Days', of: ({ days }) => number(days), isNumber: true },
    ]}
  />
)

function One({ id, documents, changed }: { id: string; documents: Documents; changed: () => void }) {
  const path = `/api/experiments/${encodeURIComponent(id)}`
  const shown = useAnswer<Experiment>(path, undefined, EVERY_SECONDS)
  const results = useAnswer<Results>(`${path}/results`, undefined, EVERY_SECONDS)
  const again = (): void => {
    shown.again()
    results.again()
    changed()
  }
  return (
    <>
      <Card title={id}>
        <Answer of={shown}>{(experiment) => <State of={experiment} path={path} again={again} />}</Answer>
      </Card>
      {shown.value && <Compared of={shown.value} documents={documents} />}
      <Card title="Is there a winner?">
        <Answer of={results}>{(found) => <Decision of={found} />}</Answer>
      </Card>
      <Card title="Against the control" isWide>
        <Answer of={results}>{({ findings }) => <Estimates findings={findings} />}</Answer>
      </Card>
      <Card title="Units in each arm">
        <Answer of={results}>{(found) => <Units of={found} />}</Answer>
      </Card>
      <Card title="History">
        <Answer of={shown}>{({ history }) => <History of={history} />}</Answer>
      </Card>
    </>
  )
}

function State({ of, path, again }: { of: Experiment; path: string; again: () => void }) {
  const { definition: { title, arms, ramp, holdoutPercent }, percent, days } = of
  return (
    <>
      {title && <p>{title}</p>}
      <dl class="facts">
        <dt>State</dt><dd>{state(of)}</dd>
        <dt>Ran for</dt><dd>{number(days)} days</dd>
        <dt>Ramp</dt><dd>{ramp.map((step) => (step === percent ? <><b>{step}%</b> </> : `${step}% `))}</dd>
        {holdoutPercent > 0 && <><dt>Held out</dt><dd>{share(holdoutPercent / 100)}</dd></>}
        {arms.map(({ name, value }, at) => <><dt>{at ? 'Arm' : 'Control'}</dt><dd>{name}{value && <> <code>{value}</code></>}</dd></>)}
      </dl>
      <Acts of={of} path={path} again={again} />
    </>
  )
}

function Acts({ of, path, again }: { of: Experiment; path: string; again: () => void }) {
  const [why, setWhy] = useState('')
  const [problem, setProblem] = useState('')
  const act = async (name: string, body: object): Promise<void> => {
    setProblem('')
    try {
      await fetched(`${path}:${name}`, { ...body, why })
      setWhy('')
      again()
    } catch (error) {
      setProblem(error instanceof Problem ? error.message : String(error))
    }
  }
  const acts = ACTS[of.state] ?? []
  const arms = ['running', 'paused', 'stopped'].includes(of.state) ? of.definition.arms : []
  if (!acts.length && !arms.length) return null
  return (
    <form onSubmit={(event) => event.preventDefault()}>
      <p><label class="choice">Why <input value={why} maxLength={500} onInput={(event) => setWhy(event.currentTarget.value)} /></label></p>
      <p>
        {acts.map((name) => <><button type="button" onClick={() => act(name, {})}>{name === 'rollback' ? 'Roll back' : named(name)}</button> </>)}
        {arms.map(({ name }) => <><button type="button" onClick={() => act('promote', { arm: name })}>Promote {name}</button> </>)}
      </p>
      {problem && <p role="alert">{problem}</p>}
    </form>
  )
}

function Decision({ of: { winner, waitsFor, daysLeft } }: { of: Results }) {
  if (winner) return <p class="score"><b>{winner}</b> is better beyond doubt</p>
  return (
    <>
      <p>Not yet{daysLeft ? `: about ${counted(Math.ceil(daysLeft), 'day')} more at this pace` : ''}.</p>
      <ul>{waitsFor.map((each) => <li>{each}</li>)}</ul>
    </>
  )
}

const Units = ({ of: { units, ratio, ratioPValue, fallbackUnits, unitsInSeveralArms, severalArms, unmatchedReports } }: { of: Results }) => {
  const all = units.reduce((sum, each) => sum + each.units, 0)
  return (
    <>
      <p role={ratio === 'fine' ? undefined : 'alert'}>{RATIO[ratio]} (p = {ratioPValue.toPrecision(2)}).</p>
      <Table
        caption="Units in each arm"
        rows={units}
        columns={[
          { name: 'Arm', of: ({ arm }) => arm },
          { name: 'Units', of: (each) => number(each.units), isNumber: true },
          { name: 'Share', of: (each) => (all ? share(each.units / all) : ''), isNumber: true },
          { name: 'Meant', of: ({ meant }) => share(meant), isNumber: true },
        ]}
      />
      {unitsInSeveralArms > 0 && <p role={severalArms === 'fine' ? undefined : 'alert'}>{counted(unitsInSeveralArms, 'unit')} met more than one arm, and count for none.</p>}
      {fallbackUnits > 0 && <p>{counted(fallbackUnits, 'unit')} more got their arm while the service was away.</p>}
      {unmatchedReports > 0 && <p>{counted(unmatchedReports, 'report')} came of units that met no arm.</p>}
    </>
  )
}

const History = ({ of }: { of: Experiment['history'] }) => (
  <Table
    caption="History"
    rows={[...of].reverse()}
    columns={[
      { name: 'When', of: ({ changeTime }) => time(changeTime) },
      { name: 'State', of: (each) => named(each.state) },
      { name: 'Units', of: ({ percent }) => share(percent / 100), isNumber: true },
      { name: 'Who', of: ({ actor }) => actor },
      { name: 'Why', of: ({ why }) => why },
    ]}
  />
)

const state = ({ state: name, promoted }: Experiment): string => `${named(name)}${promoted && `: ${promoted}`}`
