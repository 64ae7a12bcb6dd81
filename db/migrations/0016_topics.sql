-- What a marketing event is about, so that frequency caps can count the messages of one topic.

-- migrate:up
SET LOCAL lock_timeout = '5s';

ALTER TABLE marketing_event ADD COLUMN topic text COLLATE "C" CHECK (topic <> '');
COMMENT ON COLUMN marketing_event.topic IS 'What it is about, for caps that count one topic; NULL: counted by none of them';

-- migrate:down
SET LOCAL lock_timeout = '5s';

ALTER TABLE marketing_event DROP COLUMN topic;
