-- Which variables a template cannot do without, so that a decision can ask for them before it selects.

-- migrate:up
SET LOCAL lock_timeout = '5s';

ALTER TABLE message_templates
    ADD COLUMN required_variables jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(required_variables) = 'array');
COMMENT ON COLUMN message_templates.required_variables IS
    'Paths of the variables that every message needs, e.g. ["event", "amount"]; derived from the texts when it is put';

-- migrate:down
SET LOCAL lock_timeout = '5s';

ALTER TABLE message_templates DROP COLUMN required_variables;
