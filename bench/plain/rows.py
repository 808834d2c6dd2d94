"""The tables of the plain programs, and what they do with them."""

SCHEMA = """
DROP TABLE IF EXISTS plain_job, plain_output;
CREATE TABLE plain_job (id bigint PRIMARY KEY, prompt text NOT NULL, state text NOT NULL);
CREATE TABLE plain_output (
    job_id bigint PRIMARY KEY, path text NOT NULL, bytes int NOT NULL, sha256 text NOT NULL,
    seed bigint, finish_reason text
);
"""

INSERT_JOB = "INSERT INTO plain_job VALUES (%s, %s, %s)"
RUNNING = "UPDATE plain_job SET state = 'running' WHERE id = %s RETURNING prompt"
INSERT_OUTPUT = "INSERT INTO plain_output VALUES (%s, %s, %s, %s, %s, %s)"
DONE = "UPDATE plain_job SET state = 'done' WHERE id = %s"
