// How far users come. The steps are part of the address: step=page:/calculator&step=event_type:form_submit.
import type { Funnels as Found, List } from '../answers.ts'
import { Answer, DEMO, Empty, useAnswer } from '../asking.tsx'
import { Bars } from '../charts/bars.tsx'
import { Card, Choice, Receipt, Table, User } from '../parts.tsx'
import { conditions, FIELDS, Filters } from '../filters.tsx'
import { changed, go, parameter, parameters, since } from '../route.ts'
import { segment } from '../segments.tsx'
import { named, number, seconds, share, time } from '../words.ts'

const USUAL = ['event_type:page_view', 'event_type:form_submit', 'event_type:purchase']
const WITHIN: [string, string][] = [['3600', 'an hour'], ['86400', 'a day'], ['604800', '7 days'], ['2592000', '30 days']]

function parts(step: string): { field: string; value: string } {
  const [field = '', ...rest] = step.split(':')
  return { field, value: rest.join(':') }
}

export function Funnels() {
  const given = parameters('step')
  const steps = given.length ? given : USUAL
  const within = parameter('within') || '86400'
  const start = parameter('start') || 'any'
  const breakdown = parameter('breakdown')
  const asked = steps.filter((step) => parts(step).value)
  const body = {
    window: since(),
    steps: asked.map((step) => ({ name: (parts(step).field === 'event_type' ? named(parts(step).value) : parts(step).value).slice(0, 100), where: [{ field: parts(step).field, values: [parts(step).value] }] })),
    where: conditions(),
    ...segment(),
    start,
    withinSeconds: Number(within),
    ...(breakdown ? { breakdown } : {}),
  }
  const funnel = useAnswer<Found>(asked.length < 2 ? '' : '/api/analytics/funnels', body)
  const left = Number(parameter('left'))
  return (
    <div class="grid">
      <Filters of="events" />
      <Card title="Steps" isWide>
        <Steps steps={steps} />
        <div class="find">
          <Choice label="Within" name="within" value={within} options={WITHIN} />
          <Choice label="from" name="start" value={start} options={[['any', 'any first step'], ['first', "a user's first one"]]} />
          <Choice label="broken down by" name="breakdown" value={breakdown} options={[['', 'nothing'], ...FIELDS.map((field): [string, string] => [field, named(field)])]} />
        </div>
      </Card>
      <Card title="How far users come" isWide>
        {asked.length < 2 ? (
          <Empty>A funnel needs two steps.</Empty>
        ) : (
          <Answer of={funnel}>
            {({ funnels, receipt }) => (
              <>
                {funnels[0]?.steps[0]?.userCount ? funnels.map((one, index) => <One funnel={one} title={index === 0 ? 'All users' : one.isOther ? 'Other' : one.name || '(none)'} />) : <Empty command={DEMO}>Nobody made the first step in these days. To see a mesh at work:</Empty>}
                <Receipt of={receipt} question="funnels" body={body} />
              </>
            )}
          </Answer>
        )}
      </Card>
      {asked.length > 1 && (
        <Card
          title="Who left"
          isWide
          side={<Choice label="After" name="left" value={String(left || '')} options={[['', 'choose a step'], ...asked.slice(0, -1).map((step, index): [string, string] => [String(index + 1), `${index + 1}. ${parts(step).value}`])]} />}
        >
          {left ? <Left body={{ kind: 'drop_offs', step: left, window: body.window, funnel: { steps: body.steps, where: body.where, ...segment(), start, withinSeconds: body.withinSeconds } }} /> : <p class="small">Users who made a step and not the next one.</p>}
        </Card>
      )}
    </div>
  )
}

function Steps({ steps }: { steps: readonly string[] }) {
  const set = (changes: string[]): void => go(changed({ step: changes, left: '' }))
  return (
    <ol class="steps">
      {steps.map((step, index) => {
        const { field, value } = parts(step)
        const put = (now: string): void => set(steps.map((each, at) => (at === index ? now : each)))
        return (
          <li>
            <select aria-label={`Field of step ${index + 1}`} value={field} onChange={(event) => put(`${event.currentTarget.value}:${value}`)}>
              {FIELDS.map((each) => <option value={each}>{named(each)}</option>)}
            </select>{' '}
            <input aria-label={`Value of step ${index + 1}`} value={value} onChange={(event) => put(`${field}:${event.currentTarget.value.trim()}`)} />{' '}
            {steps.length > 2 && <button type="button" aria-label={`Remove step ${index + 1}`} onClick={() => set(steps.filter((_, at) => at !== index))}>Remove</button>}
          </li>
        )
      })}
      {steps.length < 12 && <li class="add"><button type="button" onClick={() => set([...steps, 'page:'])}>Add a step</button></li>}
    </ol>
  )
}

function One({ funnel, title }: { funnel: Found['funnels'][0]; title: string }) {
  const last = funnel.steps.at(-1)
  const bars = funnel.steps.map(({ name, userCount, medianSeconds, p90Seconds, shareOfPrevious }) => ({
    name,
    value: userCount,
    ...(medianSeconds === null ? {} : { note: `${share(shareOfPrevious)} of the step before, half of them within ${seconds(medianSeconds)}, nine in ten within ${seconds(p90Seconds ?? 0)}` }),
  }))
  return (
    <>
      <h3>{title}</h3>
      <Bars title={title} bars={bars} summary={`${number(last?.userCount ?? 0)} of ${number(funnel.steps[0]?.userCount ?? 0)} users came to the end, ${share(last?.shareOfFirst ?? 0)}.`} />
    </>
  )
}

function Left({ body }: { body: object }) {
  const list = useAnswer<List>('/api/analytics/lists', body)
  return (
    <Answer of={list}>
      {({ rows, totalCount, receipt }) => (
        <>
          <p>{number(totalCount)} users.</p>
          {rows.length > 0 && <Table caption="Who left" rows={rows} columns={[{ name: 'User', of: ({ userId }) => <User id={userId} /> }, { name: 'Made the step', of: (row) => time(row.time) }, { name: 'Page', of: ({ page }) => page }]} />}
          <Receipt of={receipt} question="lists" body={body} />
        </>
      )}
    </Answer>
  )
}
