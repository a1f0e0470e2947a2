// What the mesh compares by an experiment: the policies or prompts of its arms, as documents, or scoring models.
import type { Policies, Prompts } from '../answers.ts'
import { useAnswer } from '../asking.tsx'
import { Card } from '../parts.tsx'
import { to } from '../route.ts'
import { time } from '../words.ts'
import type { Experiment } from './experiments.tsx'

export interface Documents {
  policies: Policies['policies']
  prompts: Prompts
  /** The versions of scoring models. */
  models: string[]
}

/** The documents that arms may stand for; none where they cannot be read, as by tenants. */
export function useDocuments(): Documents {
  const policies = useAnswer<Policies>('/api/policies')
  const prompts = useAnswer<Prompts>('/api/prompts')
  const models = useAnswer<{ models: { modelVersion: string }[] }>('/api/models')
  return {
    policies: policies.value?.policies ?? [],
    prompts: prompts.value ?? { prompts: [], troubles: [], experimentId: '' },
    models: models.value?.models.map(({ modelVersion }) => modelVersion) ?? [],
  }
}

/** What an experiment compares; empty for what only those know who ask for its arms. */
export const subject = ({ definition: { experimentId, arms } }: Experiment, { policies, prompts, models }: Documents): string => {
  if (prompts.experimentId === experimentId) return 'Prompts'
  if (policies.some((each) => each.experimentId === experimentId)) return 'Policies'
  return arms.some(({ value }) => models.includes(value)) ? 'Models' : ''
}

export function Compared({ of, documents }: { of: Experiment; documents: Documents }) {
  const compares = subject(of, documents)
  if (!compares) return null
  const shown = { Prompts: PromptsOf, Policies: PoliciesOf, Models: ModelsOf }[compares] ?? ModelsOf
  return <Card title={`${compares} that are compared`}>{shown({ of, ...documents })}</Card>
}

const PromptsOf = ({ of, prompts: { prompts, troubles } }: { of: Experiment } & Documents) => (
  <>
    {of.definition.arms.map(({ name, value }) => {
      const found = prompts.find(({ names, isInForce }) => (value ? names.includes(value) : isInForce))
      const why = troubles.find((each) => each.name === value)?.why
      if (!found) return <p role="alert">{name}: {why ?? `there is no prompt ${value}`}. Its users get the prompt in force, and do not count.</p>
      return (
        <details>
          <summary>{name}: {found.version} <small>{found.hash.slice(0, 12)}{found.firstUseTime ? `, first used ${time(found.firstUseTime)}` : ', not used yet'}</small></summary>
          <pre tabIndex={0}>{found.text}</pre>
        </details>
      )
    })}
    <p class="small">The answer of every prompt passes the same checks. <a href={to('help')}>What models cost</a></p>
  </>
)

/** One document holds the policies of all arms; each step of the ramp is a version of it. */
const PoliciesOf = ({ of: { definition }, policies }: { of: Experiment } & Documents) => (
  <>
    <p>{definition.arms.map(({ name, value }, at) => <>{at > 0 && ', '}{name}: <code>{value || 'the policy in force'}</code></>)}</p>
    {policies.filter(({ experimentId }) => experimentId === definition.experimentId).map(({ version, startTime, document }) => (
      <details>
        <summary>{version} <small>from {time(startTime)}</small></summary>
        <pre tabIndex={0}>{document}</pre>
      </details>
    ))}
    <p class="small"><a href={to('help')}>All policies</a></p>
  </>
)

const ModelsOf = ({ of: { definition } }: { of: Experiment } & Documents) => (
  <>
    <p>{definition.arms.map(({ name, value }, at) => <>{at > 0 && ', '}{name}: <code>{value}</code></>)}</p>
    <p class="small"><a href={to('model')}>The model</a></p>
  </>
)
