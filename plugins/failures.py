"""Decides which errors are worth a retry: Airflow's own retry policy, by a mark that the business puts on its errors.

default_args={"owner": "…", "retry_policy": RETRY_POLICY}
"""

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from include.errors import PermanentError

# All other errors are retried as often as the platform's configuration says.
RETRY_POLICY = ExceptionRetryPolicy(
    [RetryRule(PermanentError, RetryAction.FAIL, reason="another try cannot mend this error")]
)
